//go:build !linux

package xmppc2s

import (
	"net"
	"syscall"
)

func tuneSocket(_, _ string, _ syscall.RawConn) error { return nil }

func quickAck(net.Conn) func() { return func() {} }
