package linklocal

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// maxRecord is how many bytes TLS writes to its connection at once.
// RFC 8446 §5.1
const maxRecord = 16 << 10

// A marker is a TCP connection that marks a stanza at the moment of its being
// written, see Outgoing.Mark.
//
// When the system call that writes a stanza returns, its peer may have read it
// long ago, and the program may be killed before it can note that; on a busy
// machine it is even likely to be stopped just there, because the peer's side
// is woken. But once the call has begun, no kill ends it before the bytes are
// the kernel's. So the mark is set right before it, which leaves a fraction of
// a microsecond, and is taken back if the kernel has not taken all.
type marker struct {
	net.Conn
	raw  syscall.RawConn // nil: it is no socket, and is marked behind its writes
	mark atomic.Pointer[func(written bool)]

	base  int64         // what the kernel had acknowledged before the first byte of ours; -1: unknown
	ended chan struct{} // closed when nothing more is read
	acked int64         // bytes of ours, at the peer's FIN; -1: unknown. For those who know that ended is closed
}

func newMarker(conn net.Conn) *marker {
	m := &marker{Conn: conn, ended: make(chan struct{})}
	if s, ok := conn.(syscall.Conn); ok {
		m.raw, _ = s.SyscallConn() // fails if it is closed: then so do writes
	}
	m.base = m.ackedSoFar()
	return m
}

// writeStanza writes a stanza to w, which is m or TLS over it.
func (m *marker) writeStanza(w io.Writer, b []byte, mark func(written bool)) (int, error) {
	if mark == nil {
		return w.Write(b)
	}
	if _, plain := w.(*marker); m.raw == nil || !plain && len(b) > maxRecord {
		n, err := w.Write(b)
		if err == nil {
			mark(true)
		}
		return n, err
	}
	m.mark.Store(&mark)
	defer m.mark.Store(nil)
	return w.Write(b)
}

// Write writes b. It is called by the writer, and by TLS, which may have
// something of its own to say: then the mark is set a little early.
func (m *marker) Write(b []byte) (n int, err error) {
	mark := m.mark.Load()
	if mark == nil {
		return m.Conn.Write(b)
	}
	wait := m.raw.Write(func(fd uintptr) (done bool) {
		var k int
		(*mark)(true)
		k, err = syscall.Write(int(fd), b[n:])
		n += max(k, 0)
		if n < len(b) {
			(*mark)(false)
		}
		if err == syscall.EAGAIN || err == syscall.EINTR {
			err = nil
		}
		return err != nil || n == len(b)
	})
	if err != nil {
		return n, os.NewSyscallError("write", err)
	}
	return n, wait
}

// CloseWrite tells the peer that nothing follows.
func (m *marker) CloseWrite() error {
	if half, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
