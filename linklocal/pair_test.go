package linklocal

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// A pairRig is a loop without goroutines: its contact and romeo@h3, who has
// just appeared. What would run beside it never does.
type pairRig struct {
	*loop
	t   *testing.T
	now time.Time
	ct  *contact
}

func newPairRig(t *testing.T) *pairRig {
	now := time.Now()
	l := newLoop(New(Config{}, new(fakeLAN).host("127.0.0.2")), nil)
	l.spawn = func(func(context.Context)) func() { return func() {} }
	l.linger = l.spawn
	ct := &contact{Contact: Contact{ID: "c"}, name: "juliet@gw", since: now}
	l.contacts["c"], l.names[ct.name.Key()] = ct, ct
	l.roster.see(now, Peer{Instance: "romeo@h3", Addrs: []netip.Addr{{}}}, nil)
	return &pairRig{l, t, now, ct}
}

// called is a connection that the peer opens, with its header.
func (r *pairRig) called() *conn {
	near, far := net.Pipe()
	r.t.Cleanup(func() { near.Close(); far.Close() })
	r.addConn(r.now, near, r.ct, nil)
	for c := range r.conns {
		if c.tcp.Conn == near {
			c.local = r.ownAddrs()[0]
			r.read(c, headerFrom("romeo@h3", string(r.ct.name)))
			r.wrote(c)
			return c
		}
	}
	r.t.Fatal("the connection was not taken in")
	return nil
}

// read hands over what the peer says, as the reader does.
func (r *pairRig) read(c *conn, said string) {
	r.readBytes(r.now, c, []byte(said))
	<-c.deliveries
}

// wrote has the writer done with what it has.
func (r *pairRig) wrote(c *conn) {
	r.t.Helper()
	n := 0
	for _, p := range (<-c.writes).pieces {
		n += len(p.bytes)
	}
	r.written(r.now, c, n, nil)
}

// The peer closes its stream, and while our end tag is still to be written we
// are given something to say to it, which has to wait. It is said when its time
// has come, though the pair had nothing any more but that stream.
func TestWhatIsToBeSaidWhileAStreamEndsIsNotForgotten(t *testing.T) {
	r := newPairRig(t)
	c := r.called()
	r.read(c, "<message><body>hello</body></message>")
	r.read(c, endTag)
	if c.stream.state != closed || len(c.writes) != 1 {
		t.Fatalf("the stream is %v, with %d batches to be written, want our end tag", c.stream.state, len(c.writes))
	}
	r.send(r.now, &outgoing{Outgoing: Outgoing{From: "c", To: "romeo@h3", Stanza: message("hello yourself")}})
	p := r.pairOf(r.ct, "romeo@h3")
	if len(p.waiting) != 1 || p.dialing {
		t.Fatal("the peer is called though it may not know the contact yet")
	}
	r.wrote(c)
	if _, still := r.conns[c]; still {
		t.Fatal("the stream is not forgotten")
	}
	r.now = r.now.Add(r.cfg.Settle)
	r.handleTimeout(r.now)
	if got := r.pairOf(r.ct, "romeo@h3"); got != p || !p.dialing {
		t.Errorf("the peer is not called: the pair is another: %v, calling: %v", got != p, p.dialing)
	}
}

// What the peer has had for long is not in doubt when it closes, whatever
// becomes of our end tag.
func TestAResetLongAfterAStanzaSaysNothingOfIt(t *testing.T) {
	r := newPairRig(t)
	c := r.called()
	r.send(r.now, &outgoing{Outgoing: Outgoing{From: "c", To: "romeo@h3", Stanza: message("long ago")}})
	r.wrote(c)
	r.now = r.now.Add(doubtFor + time.Millisecond)
	r.read(c, endTag)
	<-c.writes
	r.written(r.now, c, 0, syscall.ECONNRESET)
	if n := r.Stats().Resent; n > 0 {
		t.Errorf("%d stanzas are said again", n)
	}
}
