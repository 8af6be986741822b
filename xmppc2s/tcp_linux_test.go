package xmppc2s

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// SM-13: the kernel gives up a path on which nothing is acknowledged, also while
// a write is stuck.
func TestTheKernelNoticesADeadPath(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := Config{}.withDefaults()
	conn, err := dial(t.Context(), &cfg, target{addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ level, option, want int }{
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())},
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
	} {
		var got int
		if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), tc.level, tc.option) }); cerr != nil || err != nil {
			t.Fatalf("%s: %v, %v", name, cerr, err)
		}
		if got != tc.want {
			t.Errorf("%s is %d, want %d", name, got, tc.want)
		}
	}
}
