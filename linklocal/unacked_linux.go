package linklocal

import "golang.org/x/sys/unix"

// unacked is how many bytes the peer's TCP has not acknowledged, also if it has
// answered them with a reset; -1: that cannot be told.
func unacked(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return -1
	}
	return n
}
