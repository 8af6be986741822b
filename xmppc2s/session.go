package xmppc2s

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"

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
// It runs in the teller's goroutine and everything in it belongs to that,
// except next and stop, with which the loop talks to it.
type outer struct {
	c      *Client
	jid    jid.JID
	v      *vconn
	book   *contactBook
	teller *teller
	batch  []sm.Inbound // from next, still to be read
	bound  bool         // begun by this process, and not taken over
	doubt  bool         // it, or the one before, is without stream management

	next   chan []sm.Inbound // from the loop
	stop   chan struct{}     // closed by the loop
	done   chan struct{}     // closed when the session has ended
	ending bool              // the loop has closed stop
}

func newOuter(c *Client, full jid.JID, book *contactBook, t *teller) *outer {
	return &outer{c: c, jid: full, book: book, teller: t,
		next: make(chan []sm.Inbound), stop: make(chan struct{}), done: make(chan struct{})}
}

// run serves the session until it is stopped. The library ends its session at
// something that is no XML: then the next one goes on behind that. ctx ends
// what waits for the handler.
func (o *outer) run(ctx context.Context) {
	defer close(o.done)
	o.teller.desk.fresh(time.Now())
	o.teller.archive.doubt = o.doubt
	o.teller.archive.fresh(time.Now(), o.bound)
	defer o.leaveArchive(ctx)
	o.teller.rooms.fresh(time.Now(), o.bound)
	defer o.leaveRooms(ctx)
	for ended := false; !ended; {
		fetch := func() (in sm.Inbound, ok bool) {
			in, ok = o.fetch(ctx)
			ended = !ok
			return in, ok
		}
		o.v = newVconn(streamHeader(o.jid), fetch, o.c.notPassedOn, o.c.queueOwn)
		s, err := o.negotiate(ctx)
		if err != nil {
			panic("xmppc2s: our own stream header is refused: " + err.Error())
		}
		err = s.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			o.handle(ctx, t, start)
			return nil // an error would end the session
		}))
		o.v.settle() // whatever it was that ended the session, it shall not come again
		o.c.log.Debug("session served", "err", err, "ignored", o.v.ignored)
	}
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

// fetch returns the next stanza, and false if the session is stopped. While it
// waits it passes on what the loop has to say. Of what has been taken when the
// session stops only messages that will not come again are still of interest.
func (o *outer) fetch(ctx context.Context) (sm.Inbound, bool) {
	for {
		for len(o.batch) > 0 {
			in := o.batch[0]
			o.batch = o.batch[1:]
			if !o.stopped() || in.Kind == sm.Message && !in.Mark.Counted() {
				return in, true
			}
			o.c.forget(in)
		}
		o.archive(ctx)
		o.avatars(ctx)
		o.rooms(ctx)
		o.setWake()
		select {
		case <-o.c.caught.C():
		case <-o.c.roomDones.C():
		case <-o.c.roomOrders.wake:
		case o.batch = <-o.next:
		case ev := <-o.teller.events:
			o.teller.tell(ctx, ev)
		case <-o.teller.wake.C():
		case <-o.c.repaint:
			o.takeAvatar(time.Now())
		case <-o.stop:
			return sm.Inbound{}, false
		}
	}
}

// stopped reports whether the loop has stopped the session: what has not been
// passed on is out of date then.
func (o *outer) stopped() bool {
	select {
	case <-o.stop:
		return true
	default:
		return false
	}
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
	case el.Is(stanza.NSClient, "message") && isNotification(el):
		o.c.counts.messagesIn.Add(1)
		o.teller.desk.event(time.Now(), el)
	case o.isArchived(el):
		o.teller.archive.result(time.Now(), el)
	case el.Is(stanza.NSClient, "message"):
		if !o.teller.rooms.message(time.Now(), el, o.v.claim) {
			o.message(ctx, el)
		}
	case el.Is(stanza.NSClient, "presence"):
		o.c.counts.presencesIn.Add(1)
		if !o.teller.rooms.presence(time.Now(), el) {
			o.teller.desk.presence(time.Now(), el)
			o.act(ctx, o.book.presence(el))
		}
	case el.Is(stanza.NSClient, "iq"):
		o.c.counts.iqsIn.Add(1)
		o.iq(ctx, t, el)
	}
}

// message passes a message on, sooner or later. It counts as handled when Done
// is called.
func (o *outer) message(ctx context.Context, el *stanza.Element) {
	o.teller.archive.message(time.Now(), el, o.v.claim(), len(o.v.hand.Bytes))
	o.archive(ctx)
}

// act does what the contact book wants done.
func (o *outer) act(ctx context.Context, a actions) {
	for _, st := range a.send {
		o.c.queueOwn(stanza.Append(nil, st, stanza.NSClient))
	}
	for _, ev := range a.events {
		o.teller.handler.HandleServer(ctx, ev)
	}
	o.c.counts.presencesIgnored.Add(a.ignored)
}
