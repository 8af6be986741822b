package xmppc2s

import (
	"strconv"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// maxArchiveID bounds an id of the archive that is kept, in bytes.
const maxArchiveID = 200

// stanzaID is the id that a message has in the archive of its receiver, or "".
// It means something only if the server says that it gives such ids: then it
// takes those of others away (XEP-0359, Security Considerations). More than
// one of them is none.
func stanzaID(el *stanza.Element, own string) (id string) {
	for c := range el.Children() {
		if !c.Is(stanza.NSSID, "stanza-id") || c.Attr("by") != own {
			continue
		}
		if id != "" || len(c.Attr("id")) > maxArchiveID {
			return ""
		}
		id = c.Attr("id")
	}
	return id
}

// sentAt is when a message was sent as far as it says so, at the latest when
// it arrived (XEP-0203).
func sentAt(el *stanza.Element, arrived time.Time) time.Time {
	for c := range el.Children() {
		if c.Is(stanza.NSDelay, "delay") {
			arrived = earlierStamp(c, arrived)
		}
	}
	return arrived
}

func earlierStamp(delay *stanza.Element, at time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, delay.Attr("stamp")); err == nil && t.Before(at) {
		return t
	}
	return at
}

// An archiveQuery asks for the messages behind an id, or since a time.
type archiveQuery struct {
	id    string    // of the query
	after string    // "": from start on
	start time.Time // zero: from the beginning
	max   int       // messages of the answer

	back   bool   // from the end, or from before
	before string // an id; "": the end
}

// element is the query's payload. XEP-0313 §4 (Querying an archive), XEP-0059 §2
func (q archiveQuery) element() *stanza.Element {
	form := stanza.New(stanza.NSForm, "x", stanza.Attr{Name: "type", Value: "submit"}, formField("FORM_TYPE", "hidden", stanza.NSMAM))
	if !q.start.IsZero() {
		field := formField("start", "", q.start.UTC().Format("2006-01-02T15:04:05Z")) // XEP-0082
		form.Nodes = append(form.Nodes, stanza.Node{Element: field})
	}
	var after *stanza.Element
	if q.after != "" {
		after = stanza.New(stanza.NSRSM, "after", stanza.Text(q.after))
	}
	var before *stanza.Element
	if q.back {
		before = stanza.New(stanza.NSRSM, "before", stanza.Text(q.before))
	}
	return stanza.New(stanza.NSMAM, "query", stanza.Attr{Name: "queryid", Value: q.id}, form,
		stanza.New(stanza.NSRSM, "set", stanza.New(stanza.NSRSM, "max", stanza.Text(strconv.Itoa(q.max))), after, before))
}

func formField(name, typ, value string) *stanza.Element {
	return stanza.New(stanza.NSForm, "field", stanza.Attr{Name: "var", Value: name}, stanza.Attr{Name: "type", Value: typ},
		stanza.New(stanza.NSForm, "value", stanza.Text(value)))
}

// An archived is one message of an answer.
type archived struct {
	query, id string
	stamp     time.Time       // when the archive got it; zero: unknown
	message   *stanza.Element // with a delay from the archive; nil: it is none
	size      int             // of the message, if somebody has measured it
}

// parseArchived reads a message that holds a result (XEP-0313 §4.2). own is
// our bare address.
func parseArchived(el *stanza.Element, own string) archived {
	result := el.Child(stanza.NSMAM, "result")
	a := archived{query: result.Attr("queryid"), id: result.Attr("id")}
	forwarded := result.Child(stanza.NSFwd, "forwarded")
	delay := forwarded.Child(stanza.NSDelay, "delay")
	if t, err := time.Parse(time.RFC3339, delay.Attr("stamp")); err == nil {
		a.stamp = t
	}
	if m := forwarded.Child(stanza.NSClient, "message"); m != nil {
		a.message = withDelay(m, a.stamp, own)
	}
	return a
}

// withDelay is a message that says when its receiver's server got it.
func withDelay(m *stanza.Element, stamp time.Time, by string) *stanza.Element {
	if stamp.IsZero() {
		return m
	}
	delay := stanza.New(stanza.NSDelay, "delay", stanza.Attr{Name: "from", Value: by},
		stanza.Attr{Name: "stamp", Value: stamp.UTC().Format("2006-01-02T15:04:05Z")})
	return &stanza.Element{Name: m.Name, Attrs: m.Attrs, Nodes: append(m.Nodes[:len(m.Nodes):len(m.Nodes)], stanza.Node{Element: delay})}
}

// isForUs reports whether an archived message is one that somebody has written
// to us: words, or the error about words of ours.
func isForUs(m *stanza.Element, own string) bool {
	from, err := jid.Parse(m.Attr("from"))
	if m == nil || err != nil || from.Bare().String() == own {
		return false
	}
	switch m.Attr("type") {
	case "groupchat", "headline":
		return false
	case "error":
		return true
	}
	return m.Child(stanza.NSClient, "body") != nil
}

// A serverArchive is what an account's server says of its archive (XEP-0030).
type serverArchive struct{ there, ids bool }

func parseServerArchive(info *stanza.Element) (a serverArchive) {
	for f := range info.Children() {
		a.there = a.there || f.Is(stanza.NSDisco, "feature") && f.Attr("var") == stanza.NSMAM
		a.ids = a.ids || f.Is(stanza.NSDisco, "feature") && f.Attr("var") == stanza.NSSID
	}
	return a
}
