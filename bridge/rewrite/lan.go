package rewrite

import (
	"strings"
	"time"

	"meshgate/internal/stanza"
)

// ParseLAN takes a stanza of a peer apart.
func ParseLAN(st *stanza.Element) Content {
	if c, ok := parseClique(st); ok {
		return c
	}
	var c Content
	kind, decided := kindByType(st)
	if decided {
		c.Kind = kind
		return c
	}
	c.Body = body(st)
	live := false
	for child := range st.Children() {
		state, isState := chatState(child)
		switch {
		case isState:
			c.State = state
		case child.Is(stanza.NSEvent, "x"):
			if state, notification := event(child); notification {
				c.State, live = state, true
			}
		case child.Is(stanza.NSXHTML, "html"), child.Is(stanza.NSIM, "html"):
			if blank(c.Body) {
				c.Body = htmlText(child)
			}
		case child.Is(stanza.NSClient, "body"), child.Is(stanza.NSClient, "thread"):
		default:
			c.Dropped++
		}
	}
	if live {
		c.Body = ""
	}
	c.settle()
	return c
}

// event reads jabber:x:event. With an <id/> it is a notification about typing,
// without one the peer merely says that it understands notifications.
//
// COMPAT iChat: "send text as I type" sends the growing body as a message with
// <composing/> and <id/>; both libpurple and Salut drop such a message.
// COMPAT libpurple: <composing/> without <id/> stands in every real message.
//
// XEP-0022 (Message Events)
func event(x *stanza.Element) (state string, notification bool) {
	if x.Child(stanza.NSEvent, "id") == nil {
		return "", false
	}
	if x.Child(stanza.NSEvent, "composing") != nil {
		return "composing", true
	}
	return "paused", true
}

// settle decides the kind by what was found.
func (c *Content) settle() {
	switch {
	case !blank(c.Body):
		c.Kind = Words
	case c.State != "":
		c.Kind, c.Body = State, ""
	default:
		c.Kind, c.Body = Nothing, ""
	}
}

// htmlText is the text of XHTML, its blocks on lines of their own.
func htmlText(e *stanza.Element) string {
	var b strings.Builder
	appendHTML(&b, e)
	return Text(strings.TrimSpace(b.String()))
}

func appendHTML(b *strings.Builder, e *stanza.Element) {
	switch strings.ToLower(e.Name.Local) {
	case "script", "style", "head":
		return
	case "br", "p", "div", "li", "tr", "blockquote":
		b.WriteByte('\n')
	}
	for _, n := range e.Nodes {
		if n.Element != nil {
			appendHTML(b, n.Element)
		} else {
			b.WriteString(n.Text)
		}
	}
}

// ToLAN builds what a peer gets of a contact's words. speaker is the
// contact's name, for lines that look like the gateway's own. A message that
// was sent earlier has its time in front, in the time zone of now.
func ToLAN(c Content, speaker string, now time.Time) *stanza.Element {
	text := disarmed(speaker, c.Body)
	if c.Corrects {
		text = "(corrected) " + text
	}
	return lanMessage(stampText(c.Stamp, now) + text)
}

// LANFeatures are the namespaces that messages to and from the mesh may use.
func LANFeatures() []string { return []string{stanza.NSStates, stanza.NSEvent} }

// NoticeToLAN builds the gateway's own words, marked as such, for a window
// that is otherwise a contact's.
func NoticeToLAN(mark, text string) *stanza.Element {
	return lanMessage("[" + mark + "] " + text)
}

// StateToLAN builds a chat state for a peer: in the form of iChat's time and
// in XEP-0085's. Neither has a body, so a peer that knows neither drops it.
func StateToLAN(state string) *stanza.Element {
	var composing *stanza.Element
	if state == "composing" {
		composing = stanza.New(stanza.NSEvent, "composing")
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "chat"},
		stanza.New(stanza.NSStates, state),
		stanza.New(stanza.NSEvent, "x", composing, stanza.New(stanza.NSEvent, "id")))
}

// lanMessage builds a message with body and XHTML.
//
// COMPAT libpurple: takes a lone body for markup, "1 < 2" would be mangled.
// It uses the text of <html/> directly in the XHTML namespace; its x:event must
// not hold an <id/>, or the message is taken for a typing notification.
func lanMessage(text string) *stanza.Element {
	font := stanza.New(stanza.NSXHTML, "font", markup(text)...)
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "chat"},
		stanza.New(stanza.NSClient, "body", stanza.Text(text)),
		stanza.New(stanza.NSXHTML, "html", stanza.New(stanza.NSXHTML, "body", font)),
		stanza.New(stanza.NSEvent, "x", stanza.New(stanza.NSEvent, "composing")))
}

// markup is text as XHTML: <br/> for line breaks, and no-break spaces where
// markup would swallow blanks.
func markup(text string) []stanza.Part {
	var parts []stanza.Part
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			parts = append(parts, stanza.New(stanza.NSXHTML, "br"))
		}
		line = strings.ReplaceAll(line, "  ", "\u00A0\u00A0")
		if rest, ok := strings.CutPrefix(line, " "); ok {
			line = "\u00A0" + rest
		}
		parts = append(parts, stanza.Text(line))
	}
	return parts
}

// fresh is how old a message may be without its time being told: servers
// stamp what was on its way during a resumption, too.
const fresh = time.Minute

func stampText(stamp, now time.Time) string {
	if stamp.IsZero() || now.Sub(stamp) < fresh {
		return ""
	}
	local := stamp.In(now.Location())
	if local.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return local.Format("(15:04) ")
	}
	return local.Format("(2006-01-02 15:04) ")
}
