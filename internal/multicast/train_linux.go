package multicast

import (
	"encoding/binary"
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// takeTrains has a socket give trains as they are, and reports whether it can send
// them: udp(7), UDP_GRO and UDP_SEGMENT. An old kernel would not know what the
// latter is beside a packet, and send one that is far too long.
func takeTrains(raw syscall.RawConn) (can bool) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1)
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		can = err == nil
	})
	return can
}

// refused reports whether a train will not go the next time either.
func refused(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EOPNOTSUPP)
}

// carSize is the size of the packets of a train that was read; 0: it is a packet.
func carSize(oob []byte) int {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(int32(binary.NativeEndian.Uint32(data)))
		}
		oob = rest
	}
	return 0
}

// appendCarSize writes behind a copy of oob of what size the packets of a train are,
// as cmsg(3) has it: the length in a word, level, type, and the value.
func appendCarSize(oob []byte, size int) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	level := unix.SizeofCmsghdr - 8
	if level == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(b[level:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[level+4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(size))
	return slices.Concat(oob, b)
}
