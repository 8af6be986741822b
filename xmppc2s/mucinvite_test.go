package xmppc2s

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// CQ-13, IJ-09: who invites is known only as far as a room, or our own server,
// says so itself.
func TestWhatIsAnInvitation(t *testing.T) {
	const (
		invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='alice@example.org/x'><reason>plot</reason></invite><password>p</password></x>"
		direct = "<x xmlns='jabber:x:conference' jid='witchcraft@c' reason='plot' password='p'/>"
	)
	through, straight := "witchcraft@c of alice@example.org/x: plot, p", "witchcraft@c of bob@e/x directly: plot, p"
	for xml, want := range map[string]string{
		"<message from='witchcraft@c'>" + invite + "</message>":                                  through,
		"<message from='witchcraft@c'>" + invite + "<body>x</body>" + direct + "</message>":      through,
		"<message from='witchcraft@c/eve'>" + invite + "</message>":                              "",
		"<message from='witchcraft@c/eve' type='chat'>" + invite + direct + "</message>":         "",
		"<message from='witchcraft@c' type='groupchat'>" + invite + "</message>":                 "",
		"<message from='witchcraft@c' type='error'>" + invite + "</message>":                     "",
		"<message from='bob@e/x'>" + direct + "<body>x</body></message>":                         straight,
		"<message from='bob@e/x' type='error'>" + direct + "</message>":                          "",
		"<message from='bob@e/x'><x xmlns='jabber:x:conference' reason='plot'/></message>":       "",
		"<message from='bob@e/x'><x xmlns='jabber:x:conference' jid='@@' reason='x'/></message>": "",
		"<message>" + direct + "</message>":                                                      "",
	} {
		st, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if inv, ok := invitation(st); ok {
			got = fmt.Sprintf("%s of %s", inv.Room, inv.From)
			if inv.Direct {
				got += " directly"
			}
			got += ": " + inv.Reason + ", " + inv.Password
		}
		if got != want {
			t.Errorf("%s: %q, want %q", xml, got, want)
		}
	}
}

// An occupant of a room of ours invites nobody in another's name.
func TestAPrivateMessageIsNoInvitation(t *testing.T) {
	cfg := Config{JID: jid.MustParse("gate@example.org/x"), MaxUndone: 64, Log: slog.New(slog.DiscardHandler)}
	r := newMUCRoom(newMUCDesk(&cfg), "witchcraft@c", Room{JID: jid.MustParse("witchcraft@c")})
	st := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "chat"}, stanza.Attr{Name: "from", Value: "witchcraft@c/eve"},
		stanza.New(stanza.NSMUCUsr, "x", stanza.New(stanza.NSMUCUsr, "invite", stanza.Attr{Name: "from", Value: "alice@example.org"})))
	claim := func() sm.Mark { return sm.Mark{} }
	if !r.message(time.Time{}, "eve", st, claim) {
		t.Error("it is passed on as if the room had sent it")
	}
	if r.message(time.Time{}, "", st, claim) {
		t.Error("an invitation through the room is kept from whom it is for")
	}
}
