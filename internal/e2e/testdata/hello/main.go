// Command hello is what the test of the builder builds.
package main

import "fmt"

func main() { fmt.Println("hello") }
