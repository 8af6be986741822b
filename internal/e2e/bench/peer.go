package main

import (
	"fmt"
	"net"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// A peer is a LAN peer reduced to what a measurement needs: one XML stream to
// a mirror, opened by the peer, carrying messages in both directions.
type peer struct {
	conn     net.Conn
	from, to string // presence names
	in       chan arrival
}

// openPeer speaks first on conn and waits for the mirror's header.
func openPeer(conn net.Conn, from, to string) (*peer, error) {
	p := &peer{conn: conn, from: stanza.Escape(from), to: stanza.Escape(to), in: make(chan arrival, 1<<16)}
	if _, err := fmt.Fprintf(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='%s' from='%s' to='%s'>", stanza.NSStream, p.from, p.to); err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go p.read(ready)
	return p, <-ready
}

func (p *peer) read(ready chan<- error) {
	framer := xmlframe.New(0)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buf)
		at := time.Now()
		frames, ferr := framer.Feed(buf[:n])
		for _, f := range frames {
			p.frame(f, at, ready)
		}
		if err != nil || ferr != nil {
			select {
			case ready <- fmt.Errorf("bench: stream ended: %v %v", err, ferr):
			default:
			}
			return
		}
	}
}

func (p *peer) frame(f xmlframe.Frame, at time.Time, ready chan<- error) {
	switch f.Kind {
	case xmlframe.Header:
		ready <- nil
	case xmlframe.Element:
		el, err := stanza.Parse(f.Bytes, stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		if n, ok := number(el.Child(stanza.NSClient, "body").Text()); ok {
			p.in <- arrival{n, at}
		}
	}
}

func (p *peer) send(n int) error {
	_, err := fmt.Fprintf(p.conn, "<message from='%s' to='%s' type='chat'><body>%s</body></message>", p.from, p.to, body(n))
	return err
}

func (p *peer) arrivals() <-chan arrival { return p.in }
