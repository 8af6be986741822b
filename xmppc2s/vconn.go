package xmppc2s

import (
	"io"
	"net"
	"time"

	"meshgate/internal/xmlframe"
	"meshgate/xmppc2s/sm"
)

// A vconn is the connection below the outer session. It outlives TCP
// connections: what is read from it comes from the engine, one stanza at a
// time, and what is written to it goes into the engine's queue. It belongs to
// the session's goroutine.
type vconn struct {
	fetch func() (sm.Inbound, bool) // waits for the next stanza; false: there will be none
	done  func(sm.Inbound)
	queue func([]byte) bool // takes whole stanzas

	cur     []byte     // of the stanza at hand, or of the header that the server would have sent
	hand    sm.Inbound // the stanza at hand
	pending bool       // it is neither done nor claimed
	muted   bool       // somebody else answers it
	framer  *xmlframe.Framer
	ignored int // elements that the session wanted to write and that are no business of its own
}

// maxOutbound bounds one stanza that the outer session writes.
const maxOutbound = 1 << 20

func newVconn(head []byte, fetch func() (sm.Inbound, bool), done func(sm.Inbound), queue func([]byte) bool) *vconn {
	return &vconn{cur: head, fetch: fetch, done: done, queue: queue, framer: xmlframe.NewOpen(maxOutbound)}
}

// Read returns bytes of at most one stanza. The session asks for more when its
// handler has returned: then the stanza before is done, unless it was claimed.
func (v *vconn) Read(p []byte) (int, error) {
	if len(v.cur) == 0 {
		v.settle()
		in, ok := v.fetch()
		if !ok {
			return 0, io.EOF
		}
		v.cur, v.hand, v.pending, v.muted = in.Bytes, in, true, false
	}
	n := copy(p, v.cur)
	v.cur = v.cur[n:]
	return n, nil
}

// settle marks the stanza last read as done.
func (v *vconn) settle() {
	if v.pending {
		v.pending = false
		v.done(v.hand)
	}
}

// claim makes somebody else say when the stanza at hand is done.
func (v *vconn) claim() sm.Mark {
	v.pending = false
	return v.hand.Mark
}

// mute leaves out what the session says to the stanza at hand, which somebody
// else answers.
func (v *vconn) mute() { v.muted = true }

// Write takes stanzas out of what the session writes. It never fails: an error
// would break the session's encoder for good. Stream errors and the end of the
// stream are the session's private matter: to the server this is still the
// same stream.
func (v *vconn) Write(p []byte) (int, error) {
	frames, err := v.framer.Feed(p)
	for _, f := range frames {
		if !v.muted && f.Kind == xmlframe.Element && sm.KindOf(f.Bytes) != sm.Nonza {
			v.queue(f.Bytes)
		} else {
			v.ignored++
		}
	}
	if err != nil {
		v.ignored++
		v.framer = xmlframe.NewOpen(maxOutbound)
	}
	return len(p), nil
}

func (v *vconn) Close() error                     { return nil }
func (v *vconn) LocalAddr() net.Addr              { return vaddr{} }
func (v *vconn) RemoteAddr() net.Addr             { return vaddr{} }
func (v *vconn) SetDeadline(time.Time) error      { return nil }
func (v *vconn) SetReadDeadline(time.Time) error  { return nil }
func (v *vconn) SetWriteDeadline(time.Time) error { return nil }

type vaddr struct{}

func (vaddr) Network() string { return "xmpp" }
func (vaddr) String() string  { return "session" }
