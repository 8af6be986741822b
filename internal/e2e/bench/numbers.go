package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
)

// numbers is a flag of several numbers, between commas.
type numbers []int

func flagNumbers(name, usage string, def ...int) *numbers {
	n := numbers(def)
	flag.Var(&n, name, usage+", between `commas`")
	return &n
}

func (n *numbers) String() string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint([]int(*n)), "[]")), ",")
}

func (n *numbers) Set(text string) error {
	*n = nil
	for field := range strings.SplitSeq(text, ",") {
		i, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		*n = append(*n, i)
	}
	return nil
}
