//go:build !linux

package multicast

import "syscall"

// There are no trains elsewhere.

func takeTrains(syscall.RawConn) bool { return false }

func refused(error) bool { return true }

func carSize([]byte) int { return 0 }

func appendCarSize(oob []byte, _ int) []byte { return oob }
