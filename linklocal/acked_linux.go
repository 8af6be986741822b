package linklocal

import "golang.org/x/sys/unix"

// acked is how many bytes the peer's TCP has acknowledged, our SYN and FIN
// among them, also if it has answered what came later with a reset; -1: that
// cannot be told.
//
// It is the kernel's own count. What it keeps of unacknowledged bytes, taken
// from a count of ours, would not do: another goroutine may be writing, and
// has not counted yet what the kernel has taken.
func acked(fd uintptr) int64 {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return -1
	}
	return int64(info.Bytes_acked)
}
