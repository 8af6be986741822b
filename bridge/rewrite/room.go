package rewrite

import (
	"strings"
	"time"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// Namespaces of what happens to lines of a MUC.
const (
	nsRetract   = "urn:xmpp:message-retract:1" // XEP-0424, and XEP-0425 with it
	nsRetract0  = "urn:xmpp:message-retract:0" // before 0.4
	nsFasten    = "urn:xmpp:fasten:0"          // XEP-0422, which had that in it
	nsReactions = "urn:xmpp:reactions:0"       // XEP-0444
	nsOOB       = "jabber:x:oob"               // XEP-0066
)

// A Via is the mark of a line that a gateway has written into a room (IJ-08).
type Via struct {
	Site string // the gateway's
	Room string // the MUC that it joins with a Clique room
	ID   string // in Clique: what the line is called in the MUC; "": it is not from there
}

// ReadVia is the mark of a gateway in st; false: there is none.
func ReadVia(st *stanza.Element) (Via, bool) {
	v := st.Child(nsVia, "via")
	return Via{Site: v.Attr("site"), Room: v.Attr("room"), ID: v.Attr("id")}, v != nil
}

func (v Via) element() *stanza.Element {
	return stanza.New(nsVia, "via",
		stanza.Attr{Name: "site", Value: v.Site}, stanza.Attr{Name: "room", Value: v.Room}, stanza.Attr{Name: "id", Value: v.ID})
}

// ParseCliqueLine takes a line of a Clique room apart: of any type, since clients
// that do not know rooms' lines say chat, and notices are normal. What is being
// typed and what only programs say has no words.
func ParseCliqueLine(st *stanza.Element) Content {
	if t := st.Attr("type"); t == "groupchat" || t == "headline" {
		st = st.WithAttr("type", "chat")
	}
	c := ParseLAN(st)
	c.Body = acted(c.Body)
	return c
}

// ParseMUCLine takes a line of a MUC apart. Whose mark it has says ReadVia.
func ParseMUCLine(st *stanza.Element) Content {
	var c Content
	if !st.Is(stanza.NSClient, "message") || st.Attr("type") != "groupchat" {
		return Content{Kind: WrongType}
	}
	c.Body = body(st)
	sealed, reaction, retracted, link := false, false, false, ""
	for child := range st.Children() {
		sealed = sealed || isSealed(child)
		reaction = reaction || child.Is(nsReactions, "reactions")
		retracted = retracted || isRetraction(child)
		if child.Is(nsOOB, "x") {
			link = Line(child.Child(nsOOB, "url").Text(), maxLink)
		}
		c.add(child)
	}
	if blank(c.Body) {
		c.Body = link
	}
	switch {
	case retracted: // the body, if any, is for clients that do not know that
		c.Body = "* has taken back a line"
	case reaction:
		c.Body = ""
	default:
		c.Body = acted(c.Body)
	}
	if c.Corrects && !blank(c.Body) {
		c.Body = "* corrected: " + c.Body
	}
	c.settle()
	if sealed {
		c.Kind, c.Body = Encrypted, ""
	}
	return c
}

// maxLink bounds the address of a file in bytes.
const maxLink = 2048

func isRetraction(e *stanza.Element) bool {
	return e.Is(nsRetract, "retract") ||
		e.Is(nsFasten, "apply-to") && (e.Child(nsRetract0, "retract") != nil || e.Child("urn:xmpp:message-moderate:0", "moderated") != nil)
}

// acted shows an action as one. With a name in front nobody's client would.
//
// XEP-0245 (The /me Command)
func acted(body string) string {
	if rest, ok := strings.CutPrefix(body, "/me "); ok {
		return "* " + rest
	}
	return body
}

// RoomNick is the nick of an occupant of a MUC as the LAN sees it: like
// DisplayName, but it needs no "@", and it is never the gateway's own mark.
func RoomNick(nick, mark string) string {
	name := clip(cleanName(nick), maxName)
	if name != nick || name == "" || strings.HasPrefix(name, altered) || strings.EqualFold(name, mark) {
		return altered + name
	}
	return name
}

// MemberToMUC builds the line of a LAN member for a MUC: the member's name is in
// front, in the way of ToNetwork. at, if not zero, is when it was said. There is
// no from: the server sets it (IJ-03).
func MemberToMUC(member linklocal.Instance, text, to, id string, via Via, at time.Time) *stanza.Element {
	return mucLine(named(DisplayName(member), text), to, id, via, at)
}

// NoticeToMUC builds the gateway's own words for a MUC.
func NoticeToMUC(mark, text, to, id string, via Via) *stanza.Element {
	return mucLine(named(mark, text), to, id, via, time.Time{})
}

func mucLine(text, to, id string, via Via, at time.Time) *stanza.Element {
	via.ID = ""
	return stanza.New(stanza.NSClient, "message",
		stanza.Attr{Name: "type", Value: "groupchat"}, stanza.Attr{Name: "to", Value: to}, stanza.Attr{Name: "id", Value: id},
		stanza.New(stanza.NSClient, "body", stanza.Text(text)),
		via.element(), delay(at),
		stanza.New(stanza.NSSID, "origin-id", stanza.Attr{Name: "id", Value: id}))
}

// OccupantToClique builds the line of an occupant of a MUC for a Clique room. The
// occupant's name, from RoomNick, is in front in the way of ToNetwork, with the
// time at which it was said if that is not zero, in the time zone of now.
func OccupantToClique(name, text string, via Via, at, now time.Time) *stanza.Element {
	if !at.IsZero() {
		name += ", " + when(at, now)
	}
	return cliqueLine("groupchat", named(name, text), via, at)
}

// NoticeToClique builds the gateway's own words for a Clique room. Extra is for
// other gateways; nil: nothing.
//
// COMPAT Salut: what is of type normal is shown as a notice.
func NoticeToClique(mark, text string, via Via, extra *stanza.Element) *stanza.Element {
	st := cliqueLine("normal", named(mark, text), via, time.Time{})
	if extra != nil {
		st.Nodes = append(st.Nodes, stanza.Node{Element: extra})
	}
	return st
}

func cliqueLine(typ, text string, via Via, at time.Time) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: typ},
		stanza.New(stanza.NSClient, "body", stanza.Text(text)), via.element(), delay(at))
}

func delay(at time.Time) *stanza.Element {
	if at.IsZero() {
		return nil
	}
	return stanza.New(stanza.NSDelay, "delay", stanza.Attr{Name: "stamp", Value: at.UTC().Format(time.RFC3339)})
}

// when tells a time of the past to somebody at now.
func when(at, now time.Time) string {
	local := at.In(now.Location())
	switch {
	case local.Format(time.DateOnly) == now.Format(time.DateOnly):
		return local.Format("15:04")
	case now.Sub(at) < 6*24*time.Hour:
		return local.Format("Mon 15:04")
	}
	return local.Format("2006-01-02 15:04")
}

// SaidLine is a line of a room for somebody who comes late: who, when and what.
func SaidLine(name, text string, at, now time.Time) string {
	return named(name+", "+when(at, now), text)
}

// Clip cuts s to at most limit bytes, between two characters.
func Clip(s string, limit int) string { return clip(s, limit) }

// IsFresh reports whether what was said at that time need not have it told: zero
// is now.
func IsFresh(at, now time.Time) bool { return at.IsZero() || now.Sub(at) < fresh }
