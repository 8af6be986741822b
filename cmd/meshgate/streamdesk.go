package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// Only the address that is a peer of a stream may ask about it, and an address
// has one session at a time. Whoever asks while another command of the same
// person has that address has that one ask:
//
//	<iq type='get' to='alice@example.org/stream-7XQ2'>
//	  <query xmlns='jabber:iq:dsps' type='forward' stream='gateway@example.org/meshgate'><query type='who'/></query>
//	</iq>
//
// The answer comes in such a query, too, an error as it is.
const forwardType = "forward"

// forwardable are the questions that a clerk asks for others.
var forwardable = []string{"who", "stats", "admin"}

const maxForwarded = 16 // that may still be answered: the service passes some over in silence

// An intermediary is another command, and the stream that it is asked about. Nil
// is nobody: we ask ourselves.
type intermediary struct{ address, stream dsps.JID }

// wrap is a stanza of ours as it goes out.
func (i *intermediary) wrap(iq *stanza.Element) *stanza.Element {
	if i == nil || dsps.JID(iq.Attr("to")) != i.stream {
		return iq
	}
	return around(iq, i.address, i.stream)
}

// unwrap is a stanza as if the service had sent it.
func (i *intermediary) unwrap(iq *stanza.Element) *stanza.Element {
	if i == nil || dsps.JID(iq.Attr("from")) != i.address {
		return iq
	}
	if q := iq.Child(dsps.NS, "query"); q.Attr("type") == forwardType {
		iq = &stanza.Element{Name: iq.Name, Attrs: iq.Attrs, Nodes: q.Nodes}
	}
	return iq.WithAttr("from", string(i.stream))
}

// around is iq, sent to, with its content in a query.
func around(iq *stanza.Element, to, stream dsps.JID) *stanza.Element {
	q := stanza.New(dsps.NS, "query", stanza.Attr{Name: "type", Value: forwardType}, stanza.Attr{Name: "stream", Value: string(stream)})
	q.Nodes = iq.Nodes
	out := &stanza.Element{Name: iq.Name, Attrs: iq.Attrs, Nodes: []stanza.Node{{Element: q}}}
	return out.WithAttr("to", string(to))
}

// A clerk asks for other commands of ours. It belongs to the goroutine that
// handles what comes.
type clerk struct {
	send  func(*stanza.Element) error
	kin   func(dsps.JID) bool
	asked []forwarded // the last ones
}

// A forwarded is what we were asked, with the id of what we ask.
type forwarded struct {
	id       string
	iq       *stanza.Element
	answered bool // and more may come
}

// handle reports whether a stanza was for the clerk.
func (c *clerk) handle(iq *stanza.Element) bool {
	q := iq.Child(dsps.NS, "query")
	from := dsps.JID(iq.Attr("from"))
	switch typ, what := iq.Attr("type"), q.Attr("type"); {
	case typ == "result" || typ == "error":
		return c.answered(iq)
	case typ == "get" && what == "stats" && c.kin(from):
		return c.reply(iq, nil) // we are here
	case what == forwardType && c.kin(from):
		return c.forward(iq, q)
	}
	return false
}

func (c *clerk) forward(iq, q *stanza.Element) bool {
	inner := q.Child(dsps.NS, "query")
	if !slices.Contains(forwardable, inner.Attr("type")) {
		return false
	}
	id := rand.Text()
	if len(c.asked) == maxForwarded {
		c.asked = slices.Delete(c.asked, 0, 1)
	}
	c.asked = append(c.asked, forwarded{id: id, iq: iq})
	_ = c.send(stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: iq.Attr("type")}, stanza.Attr{Name: "id", Value: id},
		stanza.Attr{Name: "to", Value: q.Attr("stream")}, inner)) // if not, we end
	return true
}

// answered passes an answer on.
func (c *clerk) answered(iq *stanza.Element) bool {
	i := slices.IndexFunc(c.asked, func(f forwarded) bool { return f.id == iq.Attr("id") })
	if i < 0 || c.asked[i].iq.Child(dsps.NS, "query").Attr("stream") != iq.Attr("from") {
		return false
	}
	asked, again := c.asked[i].iq, c.asked[i].answered
	if asked.Child(dsps.NS, "query").Child(dsps.NS, "query").Attr("type") == "admin" {
		c.asked[i].answered = true // who declines is told later
	} else {
		c.asked = slices.Delete(c.asked, i, i+1)
	}
	return c.reply(asked, iq) && !again // that is for us, too
}

// reply answers a stanza with the content of another; nil: with none.
func (c *clerk) reply(iq, answer *stanza.Element) bool {
	typ := "result"
	if answer != nil {
		typ = answer.Attr("type")
	} else {
		answer = &stanza.Element{}
	}
	out := &stanza.Element{Name: iq.Name, Nodes: answer.Nodes}
	out = out.WithAttr("type", typ).WithAttr("id", iq.Attr("id")).WithAttr("to", iq.Attr("from"))
	if typ == "result" {
		out = around(out, dsps.JID(iq.Attr("from")), "")
	}
	_ = c.send(out) // who has asked waits no longer than it wants to
	return true
}

// reach opens a session that speaks for a stream of ours: with its address, or,
// where another command has that now, by that one.
func (r *streamRun) reach(ctx context.Context, h handle) (s *streamSession, forwards bool, err error) {
	holder, as := dsps.JID(h.as), h.as
	if !r.o.lan {
		own, err := parseAddress(r.o.account)
		if err != nil {
			return nil, false, err
		}
		if as = cmp.Or(h.as, own.Resourcepart()); as == "" {
			return nil, false, fmt.Errorf("%s does not say who we are on the stream; write it as create has printed it", h.stream)
		}
		holder, as = dsps.JID(own.Bare().String()+"/"+as), ""
	}
	if s, err = r.open(ctx, as); err != nil {
		return nil, false, err
	}
	if s.mesh != nil {
		err = s.awaitService(h.stream)
	}
	switch {
	case err != nil:
		s.close()
		return nil, false, err
	case s.self == holder:
		return s, false, nil
	case s.hears(holder):
		s.by.Store(&intermediary{holder, h.stream})
		return s, true, nil
	}
	s.close()
	if r.o.lan {
		return nil, false, fmt.Errorf("%s is somebody else on the LAN just now, so the stream is out of reach", plain(string(holder)))
	}
	s, err = r.open(ctx, holder.Resource())
	return s, false, err
}

// hears reports whether another command of ours has that address.
func (s *streamSession) hears(address dsps.JID) bool {
	ctx, cancel := s.asking()
	defer cancel()
	_, err := s.Public(ctx, address)
	return err == nil
}
