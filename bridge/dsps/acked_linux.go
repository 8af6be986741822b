package dsps

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledged is how many bytes of a TCP connection the other end's TCP has
// acknowledged, and how many it has still to: what is written may be in buffers for
// minutes, and the kernel tells of room in them in pieces of megabytes. It
// reports false for other connections.
func acknowledged(c net.Conn) (acked, waiting int64, ok bool) {
	t, isTCP := c.(*net.TCPConn)
	if !isTCP {
		return 0, 0, false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	err = raw.Control(func(fd uintptr) {
		info, err1 := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		n, err2 := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if ok = err1 == nil && err2 == nil; ok {
			acked, waiting = int64(info.Bytes_acked), int64(n)
		}
	})
	return acked, waiting, ok && err == nil
}
