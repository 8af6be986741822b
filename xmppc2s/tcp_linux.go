package xmppc2s

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is how long sent data may stay unacknowledged by the peer's TCP.
const userTimeout = 60 * time.Second

// tuneSocket makes the kernel notice a dead path.
func tuneSocket(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// An old kernel without the option works as well, only later.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}

// quickAck returns a function to be called before each read: it makes the
// kernel acknowledge what comes at once. Servers with Nagle's algorithm wait
// for that between the small packets of a negotiation, 40 ms each.
func quickAck(conn net.Conn) func() {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	return func() {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}
