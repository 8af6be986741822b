package xmppc2s

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"sync"
	"time"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
)

// forever is patience without end.
const forever = time.Duration(math.MaxInt64)

// An Errand is a session without presence and without resumption, for one thing
// that is to be done: others that the account has go on undisturbed, and nobody
// sends it messages. What comes is iq stanzas to its own full address.
type Errand struct {
	cfg    *Config
	link   *link
	framer *xmlframe.Framer // the reader's, as frames
	frames []xmlframe.Frame
	mu     sync.Mutex // held while writing
	ended  chan struct{}
}

// Login opens an Errand, with the resource of cfg.JID. Beside cfg, ctx bounds
// that. The error is an *Error where the session could not be had.
func Login(ctx context.Context, cfg Config) (*Errand, error) {
	cfg = cfg.withDefaults()
	c := connector{cfg: &cfg, dns: net.DefaultResolver, cache: tls.NewLRUClientSessionCache(1)}
	v := c.connect(ctx, nil, "", nil)
	if v.err != nil {
		return nil, v.err
	}
	return newErrand(&cfg, v.link), nil
}

func newErrand(cfg *Config, l *link) *Errand {
	e := &Errand{cfg: cfg, link: l, framer: xmlframe.NewOpen(cfg.MaxStanza), ended: make(chan struct{})}
	e.framer.SkipLarge = true
	return e
}

// Address is the full address that the server has given.
func (e *Errand) Address() string { return e.link.jid }

// Send writes a stanza; the server sets from. It may be called from any goroutine.
func (e *Errand) Send(st *stanza.Element) error {
	return e.write(stanza.Append(nil, st.WithAttr("from", ""), stanza.NSClient))
}

// Run passes on each iq that comes, until the session ends. A question that
// handle does not know, and so reports false for, is refused. It is called once.
func (e *Errand) Run(handle func(iq *stanza.Element) bool) error {
	defer close(e.ended)
	for {
		el, err := e.next(forever)
		if err != nil {
			return err
		}
		if el.Is(stanza.NSStream, "error") {
			return parseStreamError(el, e.cfg)
		}
		if typ := el.Attr("type"); el.Is(stanza.NSClient, "iq") && !handle(el) && (typ == "get" || typ == "set") {
			// "…then the entity MUST return an IQ stanza of type "error" with an
			// error condition of <service-unavailable/>." RFC 6120 §8.4
			if err := e.Send((&stanza.Error{Condition: stanza.ServiceUnavailable}).Reply(el)); err != nil {
				return err
			}
		}
	}
}

// Close ends the stream, and waits for Run to end. It may be called from any
// other goroutine.
func (e *Errand) Close() {
	end := e.closeStream()
	defer end.Stop()
	<-e.ended
	e.link.raw.Close()
}

// closeStream ends the stream: a connection that is cut would leave a session
// behind. The server has so long to end its own.
func (e *Errand) closeStream() *time.Timer {
	end := time.AfterFunc(e.cfg.StopTimeout, func() { e.link.raw.Close() })
	_ = e.write([]byte("</stream:stream>")) // a broken connection says so to the reader
	return end
}

// leave is Close for who reads itself.
func (e *Errand) leave() error {
	end := e.closeStream()
	defer end.Stop()
	for {
		if _, err := e.next(e.cfg.StopTimeout); err != nil {
			return nil // by its end tag, or not: we are done
		}
	}
}

func (e *Errand) write(b []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.link.conn.SetWriteDeadline(time.Now().Add(e.cfg.WriteTimeout)) // a closed connection says so in Write
	_, err := e.link.conn.Write(b)
	return err
}

// next returns the next element of the stream. It waits so long for more of
// it, and may be called again after that.
func (e *Errand) next(patience time.Duration) (*stanza.Element, error) {
	buf := make([]byte, 16<<10)
	for {
		for len(e.frames) > 0 {
			f := e.frames[0]
			e.frames = e.frames[1:]
			switch f.Kind {
			case xmlframe.Element:
				if el, err := stanza.Parse(f.Bytes, stanza.NSClient, stanza.Limits{Nodes: maxIQNodes}); err == nil {
					return el, nil
				}
			case xmlframe.Close:
				return nil, &Error{Problem: StreamEnded, Text: "the server has ended the stream"}
			}
		}
		var until time.Time
		if patience != forever {
			until = time.Now().Add(patience)
		}
		_ = e.link.conn.SetReadDeadline(until) // a closed connection says so in Read
		n, err := e.link.conn.Read(buf)
		var ferr error
		if e.frames, ferr = e.framer.Feed(buf[:n]); ferr != nil {
			return nil, ferr
		}
		if len(e.frames) == 0 && err != nil {
			return nil, err
		}
	}
}
