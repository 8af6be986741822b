package rewrite

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/stanza"
)

var (
	witchcraft = netip.MustParseAddrPort("239.255.71.66:13251")
	coven      = jid.MustParse("witchcraft@conference.example.org")
)

// CQ-11, CQ-13: what is written on each side, to the last byte.
func TestCQ11InvitationsAsTheyAreWritten(t *testing.T) {
	env := Envelope{To: "hecate@example.org", ID: "ID", Thread: "TH"}
	invite := Content{Kind: Invite, Room: "Witchcraft", Group: witchcraft, Body: "We need to plot"}
	late := invite
	late.Stamp = noon.Add(-time.Hour)
	for what, tc := range map[string]struct {
		got  *stanza.Element
		want string
	}{
		"to the LAN": {InviteToLAN(invite, "Hecate", noon), `<message type='normal'><body>You got a Clique chatroom invitation</body>` +
			`<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>Witchcraft</roomname><reason>We need to plot</reason>` +
			`<address>239.255.71.66</address><port>13251</port><via xmlns='urn:x-meshgate:via:0'/></invite></message>`},
		"late": {InviteToLAN(late, "Hecate", noon), `<message type='normal'><body>You got a Clique chatroom invitation</body>` +
			`<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>Witchcraft</roomname><reason>(11:00) We need to plot</reason>` +
			`<address>239.255.71.66</address><port>13251</port><via xmlns='urn:x-meshgate:via:0'/></invite></message>`},
		"direct": {InviteToNetwork(coven, "", "crone@desktop", "We need to plot", env), `<message to='hecate@example.org' id='ID'><thread>TH</thread>` +
			`<x xmlns='jabber:x:conference' jid='witchcraft@conference.example.org' reason='[crone@desktop] We need to plot'/>` +
			`<via xmlns='urn:x-meshgate:via:0'/><origin-id xmlns='urn:xmpp:sid:0' id='ID'/></message>`},
		"through the room": {InviteThroughRoom(coven, "", "crone@desktop", "We need to plot", env), `<message to='witchcraft@conference.example.org'>` +
			`<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@example.org'><reason>[crone@desktop] We need to plot</reason></invite></x><via xmlns='urn:x-meshgate:via:0'/></message>`},
		"through a room with a password": {InviteThroughRoom(coven, "toad", "crone@desktop", "", env), `<message to='witchcraft@conference.example.org'>` +
			`<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@example.org'><reason>[crone@desktop] </reason></invite><password>toad</password></x><via xmlns='urn:x-meshgate:via:0'/></message>`},
	} {
		if d := cmp.Diff(tc.want, tc.got.String()); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

// CQ-13: invitations of the network, by the rules for words.
func TestCQ13InvitationsOfTheNetworkAreTakenApart(t *testing.T) {
	const direct = `<x xmlns='jabber:x:conference' jid='witchcraft@conference.example.org'/>`
	for in, want := range map[string]Content{
		`<message from='a@b/c'>` + direct + `</message>`: {Kind: Invite, Body: "plot", Dropped: 1},
		`<message from='a@b/c'><body>a&#10;b</body><thread>T</thread><reply xmlns='urn:xmpp:reply:0' id='7'/><replace xmlns='urn:xmpp:message-correct:0' id='1'/>` + direct + `</message>`: {Kind: Invite, Body: "plot", Thread: "T", ReplyTo: "7", Dropped: 1},
		`<message from='a@b/c'><encryption xmlns='urn:xmpp:eme:0'/><composing xmlns='http://jabber.org/protocol/chatstates'/>` + direct + `</message>`:                                     {Kind: Invite, Body: "plot", Dropped: 2},
		`<message from='a@b/c'>` + direct + `<request xmlns='urn:xmpp:receipts'/></message>`:                                                                                               {Kind: Invite, Body: "plot", Receipt: true, Dropped: 1},
		`<message from='r@c'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='x@y'/></x><request xmlns='urn:xmpp:receipts'/></message>`:                                        {Kind: Invite, Body: "plot", Dropped: 1},
		`<message from='a@b/c'>` + direct + `<via xmlns='urn:x-meshgate:via:0'/></message>`:                                                                                                {Kind: Relayed},
		`<message from='a@b/c' type='error'>` + direct + `</message>`:                                                                                                                      {Kind: Failure},
		`<message from='a@b/c'><sent xmlns='urn:xmpp:carbons:2'/>` + direct + `</message>`:                                                                                                 {Kind: Wrapped},
		`<message from='a@b/c'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='x@y'/></x><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T10:00:00Z'/></message>`:              {Kind: Invite, Body: "plot", Stamp: noon.UTC().Add(-time.Hour), Dropped: 1},
	} {
		got := ParseInvitation(parse(t, in), "plot")
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// A room that we are in would put us out for an error (XEP-0045 §11.1).
func TestInvitationsOfRoomsAreDeclined(t *testing.T) {
	const mediated = `<message from='r@c' id='1'%s><x xmlns='http://jabber.org/protocol/muc#user'><invite%s/></x></message>`
	fill := func(typ, from string) *stanza.Element {
		return parse(t, strings.Replace(strings.Replace(mediated, "%s", typ, 1), "%s", from, 1))
	}
	got := Refusal(&stanza.Error{Condition: stanza.Forbidden, Text: "no"}, fill("", " from='a@b/x'"))
	want := `<message to='r@c'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='a@b/x'><reason>no</reason></decline></x></message>`
	if got.String() != want {
		t.Errorf("refusal %s, want %s", got, want)
	}
	person := fill("", " from='x@y'").WithAttr("from", "a@b/phone")
	if got := Refusal(&stanza.Error{Condition: stanza.Forbidden, Text: "no"}, person); got.Attr("type") != "error" {
		t.Errorf("a person, who is no room, got %s", got)
	}
	for what, st := range map[string]*stanza.Element{"nobody's": fill("", ""), "an error": fill(" type='error'", " from='a@b/x'")} {
		if got := Refusal(&stanza.Error{Condition: stanza.Forbidden}, st); got != nil {
			t.Errorf("%s was answered: %s", what, got)
		}
	}
}

func FuzzInvitationOfPeer(f *testing.F) { // CQ-11, IJ-02, IJ-09
	seeds(f, "lan_to_network.txt")
	f.Fuzz(func(t *testing.T, in, name string) {
		st, err := stanza.Parse([]byte(in), stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		c := ParseLAN(st)
		if st.Is(stanza.NSClient, "message") && st.Child(nsClique, "invite") != nil && c.Kind == Words {
			t.Fatalf("an invitation is taken for words: %q", c.Body)
		}
		if c.Kind != Invite {
			return
		}
		if err := (clique.Invitation{Room: c.Room, Group: c.Group}).Check(); err != nil || len(c.Body) > maxInviteReason || strings.Contains(c.Body, "\n") {
			t.Fatalf("%v, reason %q", err, c.Body)
		}
		out := written(t, InviteToNetwork(coven, "", "bob@h2", c.Body, Envelope{To: "j@e", ID: "ID"}))
		if why := out.Child(stanza.NSConf, "x").Attr("reason"); !strings.HasPrefix(why, "[bob@h2] ") || len(why) > maxInviteReason+20 {
			t.Fatalf("reason %q", why)
		}
		back, ok := clique.ParseInvitation(written(t, InviteToLAN(c, "Alice", noon)))
		if !ok || back.Room != c.Room || back.Group != c.Group || startsLikeNotice(back.Reason) {
			t.Fatalf("%+v became %+v", c, back)
		}
	})
}
