package xmppc2s

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"slices"
	"time"

	"mellium.im/xmlstream"

	"meshgate/internal/stanza"
)

const (
	nsVersion = "jabber:iq:version" // XEP-0092
	capsNode  = "urn:x-meshgate"    // names the software in XEP-0115
	rosterID  = "roster-1"
)

// features are what the client itself understands. With "+notify" servers tell
// us of the contacts' pictures (XEP-0163 §4.3).
var features = [...]string{stanza.NSCaps, stanza.NSDisco, stanza.NSItems, stanza.NSMUC, nsVersion, stanza.NSConf, stanza.NSAvMeta + "+notify", stanza.NSPing}

// iq answers an iq, or takes a result that we asked for, or has others do
// so. What is not answered here gets service-unavailable from the session. No
// iq is ever passed on.
func (o *outer) iq(ctx context.Context, w xmlstream.TokenWriter, el *stanza.Element) {
	switch el.Attr("type") {
	case "result", "error":
		switch {
		case o.teller.desk.answer(time.Now(), el), o.teller.archive.answer(time.Now(), el), o.teller.rooms.answer(time.Now(), el):
		case el.Attr("type") == "result" && el.Attr("id") == rosterID && o.fromOwnAccount(el):
			o.act(ctx, o.book.roster(el.Child(stanza.NSRoster, "query")))
		default:
			o.serve(el)
		}
	case "set":
		if o.serve(el) {
			o.v.mute()
		} else if q := el.Child(stanza.NSRoster, "query"); q != nil && o.fromOwnAccount(el) {
			o.act(ctx, o.book.push(q))
			o.answer(w, el, nil)
		}
	case "get":
		if o.serve(el) {
			o.v.mute()
		} else if payload := o.reply(el); payload != nil || el.Child(stanza.NSPing, "ping") != nil {
			o.answer(w, el, payload)
		}
	}
}

// serve hands an iq to whoever answers such, and reports whether it was taken.
func (o *outer) serve(el *stanza.Element) bool {
	if !o.c.cfg.Queries.taken(o.jid, el) {
		return false
	}
	o.c.counts.served.Add(1)
	return true
}

// fromOwnAccount: a roster push from anybody else must be ignored (RFC 6121 §2.1.6).
func (o *outer) fromOwnAccount(el *stanza.Element) bool {
	return el.Attr("from") == o.jid.Bare().String()
}

// reply is the payload of the answer to a get, or nil.
func (o *outer) reply(el *stanza.Element) *stanza.Element {
	for q := range el.Children() {
		switch {
		case q.Is(stanza.NSDisco, "query"):
			return o.c.cfg.discoInfo(q.Attr("node"))
		case q.Is(stanza.NSItems, "query"):
			return stanza.New(stanza.NSItems, "query", stanza.Attr{Name: "node", Value: q.Attr("node")})
		case q.Is(nsVersion, "query"):
			return stanza.New(nsVersion, "query",
				stanza.New(nsVersion, "name", stanza.Text(o.c.cfg.Name)),
				stanza.New(nsVersion, "version", stanza.Text(o.c.cfg.Version)))
		}
	}
	return nil
}

// answer writes a result through the session, which thereby knows that the iq
// is answered.
func (o *outer) answer(w xmlstream.TokenWriter, iq, payload *stanza.Element) {
	to := iq.Attr("from")
	if to == o.jid.Bare().String() {
		to = ""
	}
	result := stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "result"},
		stanza.Attr{Name: "id", Value: iq.Attr("id")}, stanza.Attr{Name: "to", Value: to}, payload)
	if err := writeTokens(w, result); err != nil {
		o.c.log.Debug("iq not answered", "err", err)
	}
}

// writeTokens writes an element in the library's currency.
func writeTokens(w xmlstream.TokenWriter, el *stanza.Element) error {
	start := xml.StartElement{Name: el.Name, Attr: el.Attrs}
	if err := w.EncodeToken(start); err != nil {
		return err
	}
	for _, n := range el.Nodes {
		if n.Element != nil {
			if err := writeTokens(w, n.Element); err != nil {
				return err
			}
		} else if err := w.EncodeToken(xml.CharData(n.Text)); err != nil {
			return err
		}
	}
	return w.EncodeToken(start.End())
}

// features are what the account admits to understand, sorted.
func (c *Config) features() []string {
	all := features[:]
	if c.Queries.NS != "" {
		all = append(slices.Clone(all), c.Queries.NS)
	}
	return slices.Sorted(slices.Values(all))
}

// discoInfo answers a question about the client itself (XEP-0030), also by
// the node of its capabilities.
func (c *Config) discoInfo(node string) *stanza.Element {
	if node != "" && node != capsNode+"#"+c.capsHash() {
		return nil
	}
	parts := []stanza.Part{
		stanza.Attr{Name: "node", Value: node},
		stanza.New(stanza.NSDisco, "identity", stanza.Attr{Name: "category", Value: "client"},
			stanza.Attr{Name: "type", Value: "bot"}, stanza.Attr{Name: "name", Value: c.Name}),
	}
	for _, f := range c.features() {
		parts = append(parts, stanza.New(stanza.NSDisco, "feature", stanza.Attr{Name: "var", Value: f}))
	}
	return stanza.New(stanza.NSDisco, "query", parts...)
}

// capsHash is the verification string of XEP-0115 §5.1.
func (c *Config) capsHash() string {
	s := "client/bot//" + c.Name + "<"
	for _, f := range c.features() {
		s += f + "<"
	}
	sum := sha1.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// capabilities goes into our presence.
func (c *Config) capabilities() *stanza.Element {
	return stanza.New(stanza.NSCaps, "c", stanza.Attr{Name: "hash", Value: "sha-1"},
		stanza.Attr{Name: "node", Value: capsNode}, stanza.Attr{Name: "ver", Value: c.capsHash()})
}
