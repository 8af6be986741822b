package rewrite

import (
	"testing"
	"time"

	"meshgate/internal/stanza"
)

// What is being typed, what only programs say and what has no words is no line of
// a Clique room. COMPAT iChat and libpurple have such habits.
func TestLinesOfACliqueRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		xml, want string
		kind      Kind
	}{
		"a line":             {"<message type='groupchat'><body>double</body></message>", "double", Words},
		"with markup":        {"<message type='groupchat'><body>double</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><b>double</b></body></html></message>", "double", Words},
		"a notice":           {"<message type='normal'><body>double</body></message>", "double", Words},
		"an action":          {"<message type='groupchat'><body>/me stirs</body></message>", "* stirs", Words},
		"growing as typed":   {"<message type='groupchat'><body>dou</body><x xmlns='jabber:x:event'><composing/><id>1</id></x></message>", "", State},
		"a chat state":       {"<message type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", "", State},
		"tubes":              {"<message type='groupchat'><tubes xmlns='http://telepathy.freedesktop.org/xmpp/tubes'/></message>", "", Nothing},
		"an error":           {"<message type='error'><body>double</body></message>", "", Failure},
		"no message":         {"<presence/>", "", Foreign},
		"control characters": {"<message type='groupchat'><body>a&#x202e;b\u2028c</body></message>", "ab\nc", Words},
	} {
		if c := ParseCliqueLine(parse(t, tt.xml)); c.Kind != tt.kind || c.Body != tt.want {
			t.Errorf("%s: %v %q, want %v %q", name, c.Kind, c.Body, tt.kind, tt.want)
		}
	}
}

func TestLinesOfAMUC(t *testing.T) {
	for name, tt := range map[string]struct {
		xml, want string
		kind      Kind
	}{
		"a line":             {"<body>double</body>", "double", Words},
		"an action":          {"<body>/me stirs</body>", "* stirs", Words},
		"a correction":       {"<body>toil</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>", "* corrected: toil", Words},
		"a retraction":       {"<body>I tried to retract</body><retract xmlns='urn:xmpp:message-retract:1' id='1'/>", "* has taken back a line", Words},
		"an old retraction":  {"<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>", "* has taken back a line", Words},
		"a reaction":         {"<body>&gt; double: yes</body><reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>y</reaction></reactions>", "", Nothing},
		"a file":             {"<x xmlns='jabber:x:oob'><url>https://example.org/f</url></x>", "https://example.org/f", Words},
		"a file with a body": {"<body>https://example.org/f</body><x xmlns='jabber:x:oob'><url>https://example.org/f</url></x>", "https://example.org/f", Words},
		"sealed":             {"<body>I sent you an OMEMO encrypted message</body><encrypted xmlns='eu.siacs.conversations.axolotl'><payload>x</payload></encrypted>", "", Encrypted},
		"a chat state":       {"<active xmlns='http://jabber.org/protocol/chatstates'/>", "", State},
	} {
		if c := ParseMUCLine(parse(t, "<message type='groupchat'>"+tt.xml+"</message>")); c.Kind != tt.kind || c.Body != tt.want {
			t.Errorf("%s: %v %q, want %v %q", name, c.Kind, c.Body, tt.kind, tt.want)
		}
	}
}

// IJ-09: nobody in a MUC can speak as another, or as the gateway.
func TestRoomLinesCannotBeImitated(t *testing.T) {
	for nick, want := range map[string]string{
		"alice": "alice", "meshgate": "~meshgate", "MESHGATE": "~MESHGATE", "a] [b": "~a) (b", "al\u200bice": "~alice", "~alice": "~~alice", "": "~", "a\nb": "~a b",
	} {
		if got := RoomNick(nick, "meshgate"); got != want {
			t.Errorf("RoomNick(%q) = %q, want %q", nick, got, want)
		}
	}
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"[alice] a\n  [bob] b": {}, "[alice, 09:30] a\n  [bob] b": now.Add(-150 * time.Minute),
		"[alice, Tue 12:00] a\n  [bob] b": now.Add(-24 * time.Hour), "[alice, 2026-02-02 12:00] a\n  [bob] b": now.Add(-30 * 24 * time.Hour),
	} {
		st := OccupantToClique("alice", "a\n[bob] b", Via{Site: "s", Room: "r", ID: "1"}, at, now)
		if got := st.Child(stanza.NSClient, "body").Text(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if v, ok := ReadVia(st); !ok || v != (Via{"s", "r", "1"}) {
			t.Errorf("the mark is %v", v)
		}
	}
}
