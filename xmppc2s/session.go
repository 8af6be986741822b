package xmppc2s

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	mstanza "mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// An outer is the long-lived mellium session of one XMPP session. It sees the
// stanzas one after the other, answers iq, follows presence and passes
// messages on. It knows nothing of connections.
//
// Everything in it belongs to its goroutine, except next and stop, with which
// the loop talks to it.
type outer struct {
	c      *Client
	jid    jid.JID
	v      *vconn
	book   *contactBook
	events chan<- Event
	next   chan sm.Inbound // from the loop
	stop   chan struct{}   // closed by the loop
	done   chan struct{}   // closed when the session has ended
	ending bool            // the loop has closed stop
}

func newOuter(c *Client, full jid.JID, book *contactBook, events chan<- Event) *outer {
	o := &outer{c: c, jid: full, book: book, events: events,
		next: make(chan sm.Inbound), stop: make(chan struct{}), done: make(chan struct{})}
	o.v = newVconn(streamHeader(full), o.next, o.stop, c.notPassedOn, c.queueOwn)
	return o
}

// run serves the session until it is stopped, or until something arrives that
// is no XML. ctx ends what waits for the handler.
func (o *outer) run(ctx context.Context) {
	defer close(o.done)
	s, err := o.negotiate(ctx)
	if err != nil {
		o.c.log.Error("cannot make a session", "err", err) // our own header was refused
		return
	}
	handle := func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		o.handle(ctx, t, start)
		return nil // an error would end the session
	}
	err = s.Serve(xmpp.HandlerFunc(handle))
	o.v.settle() // whatever it was that ended the session, it shall not come again
	o.c.log.Debug("session served", "err", err, "ignored", o.v.ignored.Load())
}

// streamHeader is what the server would have said to this session.
func streamHeader(full jid.JID) []byte {
	return fmt.Appendf(nil, "<stream:stream xmlns='%s' xmlns:stream='%s' version='1.0' id='session' from='%s' to='%s'>",
		stanza.NSClient, stanza.NSStream, stanza.Escape(full.Domain().String()), stanza.Escape(full.String()))
}

// negotiate makes a mellium session that is ready at once: the connections
// below have been negotiated already.
func (o *outer) negotiate(ctx context.Context) (*xmpp.Session, error) {
	ready := func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		r := s.TokenReader()
		defer r.Close()
		tok, err := r.Token()
		if err != nil {
			return 0, nil, nil, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			return 0, nil, nil, errors.New("xmppc2s: no stream header")
		}
		if err := in.FromStartElement(start); err != nil {
			return 0, nil, nil, err
		}
		out.XMLNS = mstanza.NSClient
		out.To, out.From = o.jid.Domain(), o.jid
		return xmpp.Ready, nil, nil, nil
	}
	return xmpp.NewSession(ctx, o.jid.Domain(), o.jid, o.v, xmpp.Secure|xmpp.Authn, ready)
}

// emit hands an event over, unless the session is stopped before it is taken.
func (o *outer) emit(ctx context.Context, ev Event) bool {
	select {
	case <-o.stop: // what a stopped session has to say is out of date
		return false
	default:
	}
	select {
	case o.events <- ev:
		return true
	case <-o.stop:
	case <-ctx.Done():
	}
	return false
}

// maxIQNodes bounds what is in one iq; MaxStanza bounds it too.
const maxIQNodes = 1 << 16

func (o *outer) handle(ctx context.Context, t xmlstream.TokenReadEncoder, start *xml.StartElement) {
	limits := o.c.cfg.Limits
	if start.Name.Local == "iq" { // a roster may be long, and iq goes no further than here
		limits.Nodes = max(limits.Nodes, maxIQNodes)
	}
	el, err := stanza.Decode(t, *start, limits)
	if err != nil {
		o.c.counts.malformed.Add(1)
		o.c.log.Debug("stanza dropped", "err", err)
		return
	}
	if el.Attr("from") == "" { // RFC 6120 §8.1.2.1: from our own account
		el = el.WithAttr("from", o.jid.Bare().String())
	}
	switch {
	case el.Is(stanza.NSClient, "message"):
		o.message(ctx, el)
	case el.Is(stanza.NSClient, "presence"):
		o.c.counts.presencesIn.Add(1)
		o.act(ctx, o.book.presence(el))
	case el.Is(stanza.NSClient, "iq"):
		o.c.counts.iqsIn.Add(1)
		o.iq(ctx, t, el)
	}
}

// message passes a message on. It counts as handled when Done is called.
func (o *outer) message(ctx context.Context, el *stanza.Element) {
	o.c.counts.messagesIn.Add(1)
	mark := o.v.claim()
	var called atomic.Bool
	done := func() {
		if called.CompareAndSwap(false, true) {
			o.c.undone.Add(-1)
			o.c.markDone(mark)
		}
	}
	if !o.emit(ctx, Message{Stanza: el, Done: done}) && called.CompareAndSwap(false, true) {
		o.c.undone.Add(-1) // nobody has seen it: the server will send it again
	}
}

// act does what the contact book wants done.
func (o *outer) act(ctx context.Context, a actions) {
	for _, st := range a.send {
		o.c.queueOwn(stanza.Append(nil, st, stanza.NSClient))
	}
	for _, ev := range a.events {
		if !o.emit(ctx, ev) {
			return
		}
	}
	o.c.counts.presencesIgnored.Add(a.ignored)
}
