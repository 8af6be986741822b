package ends

import (
	"fmt"
	"net"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// A Peer is one XML stream of a LAN peer with a mirror, in both directions
// (XEP-0174 §5). Its reader ends with the connection.
type Peer struct {
	conn     net.Conn
	from, to string // presence names, escaped; to is empty on a stream that was accepted
	handle   Handler
	ended    chan struct{}
}

// OpenPeer speaks first on conn and waits for the mirror's header.
func OpenPeer(conn net.Conn, from, to string, handle Handler) (*Peer, error) {
	p := newPeer(conn, from, to, handle)
	if err := p.header(); err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go p.read(ready, func() error { return nil })
	return p, <-ready
}

// AcceptPeer answers the header of whoever has connected.
func AcceptPeer(conn net.Conn, from string, handle Handler) (*Peer, error) {
	p := newPeer(conn, from, "", handle)
	ready := make(chan error, 1)
	go p.read(ready, p.header)
	return p, <-ready
}

func newPeer(conn net.Conn, from, to string, handle Handler) *Peer {
	return &Peer{conn: conn, from: stanza.Escape(from), to: stanza.Escape(to), handle: handle, ended: make(chan struct{})}
}

func (p *Peer) header() error {
	_, err := fmt.Fprintf(p.conn, "<stream:stream xmlns='jabber:client' xmlns:stream='%s' from='%s' to='%s'>", stanza.NSStream, p.from, p.to)
	return err
}

// read reads until the end. ready hears once what became of the header, which
// answer may still have to answer.
func (p *Peer) read(ready chan<- error, answer func() error) {
	defer close(p.ended)
	defer p.conn.Close()
	framer := xmlframe.New(0)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buf)
		at := time.Now()
		frames, ferr := framer.Feed(buf[:n])
		closed := false
		for _, f := range frames {
			switch f.Kind {
			case xmlframe.Header:
				ready <- answer()
			case xmlframe.Element:
				if st, err := stanza.Parse(f.Bytes, stanza.NSClient, stanza.Limits{}); err == nil {
					p.handle(at, st)
				}
			case xmlframe.Close:
				closed = true
			}
		}
		if err != nil || ferr != nil || closed {
			select {
			case ready <- fmt.Errorf("ends: stream ended: %v %v", err, ferr):
			default:
			}
			return
		}
	}
}

// Send writes a chat message, from one goroutine at a time. After an error the message has
// not been written as a whole.
func (p *Peer) Send(body string) error {
	_, err := fmt.Fprintf(p.conn, "<message from='%s' to='%s' type='chat'><body>%s</body></message>", p.from, p.to, stanza.Escape(body))
	return err
}

// SendStanza writes a stanza, from one goroutine at a time, as Send does.
func (p *Peer) SendStanza(st *stanza.Element) error {
	_, err := p.conn.Write(stanza.Append(nil, st, stanza.NSClient))
	return err
}

// Close breaks the connection.
func (p *Peer) Close() error { return p.conn.Close() }

// Ended is closed when nothing comes any more.
func (p *Peer) Ended() <-chan struct{} { return p.ended }
