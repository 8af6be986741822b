package dsps

import (
	"encoding/binary"
	"net"
)

// recordHead is the length of a TLS record's header: type, version, and the
// length of what follows. RFC 8446 §5.1
const recordHead = 5

// records is the connection below one of TLS, and gives it one record at a
// time. So TLS reads nothing ahead, and when it has passed on all that it has,
// whatever comes next is still to come out of the socket: that can be waited for.
type records struct {
	net.Conn
	head [recordHead]byte
	have int // bytes of head
	left int // bytes of the record
}

func (r *records) Read(b []byte) (int, error) {
	if r.left > 0 {
		n, err := r.Conn.Read(b[:min(len(b), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.Conn.Read(b[:min(len(b), recordHead-r.have)])
	r.have += copy(r.head[r.have:], b[:n])
	if r.have == recordHead {
		r.have, r.left = 0, int(binary.BigEndian.Uint16(r.head[recordHead-2:]))
	}
	return n, err
}

// CloseWrite ends our direction.
func (r *records) CloseWrite() error { return closeWrite(r.Conn) }
