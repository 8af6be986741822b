package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// ready is a rig with alice online and bob@h2 on the LAN.
func ready(t *testing.T) *rig {
	r := newRig(t, office())
	r.online(false)
	r.presence("alice@example.org/phone", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
	r.wait(10 * time.Second)
	r.actions = nil
	r.taken()
	return r
}

const alice = linklocal.ContactID("alice@example.org")

// IJ-02: nothing but payloads of the allow-list gets out, the rest is counted.
func TestIJ02OnlyAllowedPayloadsAreInjected(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<message id='x' type='normal'><body>hi</body><subject>s</subject><data xmlns='urn:xmpp:bob'/><x xmlns='jabber:x:conference' jid='r@c'/></message>`)
	out := r.sent()
	if len(out) != 1 {
		t.Fatalf("%d stanzas went out, want 1", len(out))
	}
	for c := range out[0].Children() {
		switch c.Name.Local {
		case "body", "thread", "active", "via", "origin-id":
		default:
			t.Errorf("payload %s went out", c)
		}
	}
	if out[0].Attr("id") == "x" {
		t.Error("the peer's id went out")
	}
	if n := r.e.stats().PayloadsDropped; n != 3 {
		t.Errorf("%d payloads counted as dropped, want 3", n)
	}
}

// IJ-03: whatever is sent to the server, no stanza has a from.
func TestIJ03NoStanzaCarriesAFrom(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<message from='alice@example.org' to='boss@example.org'><body>hi</body></message>`)
	r.fromLAN(alice, "bob@h2", `<message from='bob@h2'><x xmlns='jabber:x:event'><composing/><id/></x></message>`)
	r.fromNet(`<message from='alice@example.org/phone' to='gate@example.org/mesh' id='1'><body>hi</body><request xmlns='urn:xmpp:receipts'/></message>`)
	r.result(nil)
	r.fromNet(`<message from='alice@example.org/phone' to='gate@example.org/mesh' id='2'><body>@who</body></message>`)
	r.fromNet(`<message from='spam@example.net/x' to='gate@example.org/mesh' id='3'><body>buy</body></message>`)
	out := r.sent()
	if len(out) != 5 {
		t.Fatalf("%d stanzas went out, want 5: message, state, receipt, answer, error", len(out))
	}
	for _, st := range out {
		if st.Attr("from") != "" {
			t.Errorf("has a from: %s", st)
		}
	}
	if to := out[0].Attr("to"); to != "alice@example.org" {
		t.Errorf("the message went to %q, not to the contact of the mirror", to)
	}
}

// IJ-05: without a pattern nobody may write, and a rule narrows down.
func TestIJ05DefaultDenyForPeers(t *testing.T) {
	cfg := office()
	cfg.Peers = nil
	r := newRig(t, cfg)
	r.online(false)
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	if got := r.sent(); len(got) != 0 {
		t.Errorf("went out: %s", got[0])
	}
	if n := r.e.stats().FromLAN.Ended[RefusedStranger]; n != 1 {
		t.Errorf("%d refused as strangers, want 1", n)
	}
}

func TestIJ05WhoMayReachWhom(t *testing.T) {
	p := newPolicy(office())
	for _, tc := range []struct {
		peer    linklocal.Instance
		contact string
		want    bool
	}{
		{"bob@h2", "alice@example.org", true},
		{"BOB@H2", "boss@example.org", true},
		{"wjt@bael (2)", "boss@example.org", true},
		{"bob@h4", "alice@example.org", false},
		{"bob@h22", "alice@example.org", false},
		{"@h2", "alice@example.org", true},
		{"guest@h1", "alice@example.org", true},
		{"guest@h1", "boss@example.org", false},
		{"guest@evil", "alice@example.org", false}, // narrowed, but not admitted
	} {
		if got := p.connects(tc.peer, tc.contact); got != tc.want {
			t.Errorf("%s and %s connected: %v, want %v", tc.peer, tc.contact, got, tc.want)
		}
	}
}

// IJ-05: rates per peer, one peer's flood being no other's loss.
func TestIJ05RatesArePerPeer(t *testing.T) {
	cfg := office()
	cfg.Limits.PeerRate = Rate{PerMinute: 60, Burst: 5}
	r := newRig(t, cfg)
	r.online(false)
	for range 50 {
		r.fromLAN(alice, "eve@h3", `<message><body>spam</body></message>`)
	}
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	r.wait(2 * time.Second)
	r.fromLAN(alice, "eve@h3", `<message><body>again</body></message>`)
	l := r.e.stats().FromLAN
	if l.Pending != 7 || l.Ended[RefusedRate] != 45 {
		t.Errorf("accepted %d, refused %d, want 7 and 45", l.Pending, l.Ended[RefusedRate])
	}
	told := 0
	for _, a := range r.actions {
		if l, ok := a.(toLAN); ok && l.to == "eve@h3" {
			told++
		}
	}
	if told == 0 || told > remarkRate.Burst {
		t.Errorf("eve was told %d times, want at least once and not each time", told)
	}
}

func TestIJ05RatesArePerContact(t *testing.T) {
	cfg := office()
	cfg.Limits.ContactRate = Rate{PerMinute: 60, Burst: 5}
	r := newRig(t, cfg)
	r.online(false)
	r.peer("bob@h2", linklocal.Presence{})
	for i, from := range []string{"alice/a", "alice/b", "alice/a", "alice/b", "alice/a", "alice/b", "alice/c", "boss/x"} {
		user, res, _ := strings.Cut(from, "/")
		r.fromNet(fmt.Sprintf(`<message from='%s@example.org/%s' id='%d'><body>@bob hi</body></message>`, user, res, i))
	}
	if l := r.e.stats().FromNetwork; l.Pending != 6 || l.Ended[RefusedRate] != 2 {
		t.Errorf("ledger %+v, want 6 pending and 2 refused", l)
	}
	for _, st := range r.sent() {
		if err := stanza.ParseError(st); err.Condition != stanza.PolicyViolation || err.Type != "wait" {
			t.Errorf("answer %s", st)
		}
	}
}

// A peer that calls itself by a contact's address does not use up the
// contact's rights.
func TestAPeerCannotSpendAContactsRemarks(t *testing.T) {
	r := ready(t)
	for range 50 {
		r.fromLAN(ConciergeID, "alice@example.org", `<message><body>hi</body></message>`)
	}
	r.actions = nil
	r.fromNet(`<message from='alice@example.org/phone' id='1'><body>@who</body></message>`)
	if out := r.sent(); len(out) != 1 || out[0].Attr("type") == "error" {
		t.Errorf("alice got %v", out)
	}
}

// IJ-06: nobody but contacts reaches the mesh, and gets the error of an
// address that has nobody.
func TestIJ06OnlyContactsReachTheMesh(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	r.actions = nil
	for i, from := range []string{
		"spam@example.net/x", "alice@example.org.evil/x", "alice@evil@example.org", "example.org", "ALICE2@example.org",
	} {
		r.fromNet(fmt.Sprintf(`<message from='%s' id='%d' type='chat'><body>@bob@h2 buy</body></message>`, from, i))
	}
	for _, a := range r.actions {
		if l, ok := a.(toLAN); ok {
			t.Errorf("reached the mesh: %s", l.stanza)
		}
	}
	for i, st := range r.sent() {
		if err := stanza.ParseError(st); err.Condition != stanza.ServiceUnavailable {
			t.Errorf("answer %d: %s", i, st)
		}
	}
	if n := r.e.stats().FromNetwork.Ended[RefusedStranger]; n != 5 {
		t.Errorf("%d refused as strangers, want 5", n)
	}
	for id, n := range r.done {
		if n != 1 {
			t.Errorf("message %s was finished %d times", id, n)
		}
	}
}

// IJ-06: what a contact writes reaches only peers that policy connects it with.
func TestIJ06ContactsReachOnlyConnectedPeers(t *testing.T) {
	r := ready(t)
	r.peer("eve@evil", linklocal.Presence{})
	r.peer("guest@h1", linklocal.Presence{})
	r.e.talks.touch(r.now, r.e.mirrors.byBare["boss@example.org"], "guest@h1", r.e.newID) // allowed once
	for _, body := range []string{"and you?", "@eve@evil hi", "@eve hi", "@guest@h1 hi", "> [guest@h1] hi\nho", "> [eve@evil] hi\nho"} {
		r.fromNet(`<message from='boss@example.org/x' id='1' type='chat'><body>` + stanza.Escape(body) + `</body></message>`)
	}
	for _, line := range r.taken() {
		if strings.HasPrefix(line, "to eve") || strings.HasPrefix(line, "to guest") || strings.Contains(line, "eve@evil,") {
			t.Error(line)
		}
	}
}

// IJ-07: an iq of a peer leads nowhere, were one to come this far.
func TestIJ07IQsAreNotForwarded(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<iq type='set' id='1' to='alice@example.org'><query xmlns='jabber:iq:roster'/></iq>`)
	r.fromLAN(alice, "bob@h2", `<presence type='subscribe' to='alice@example.org'/>`)
	r.fromNet(`<iq type='get' id='1' from='alice@example.org/phone'><query xmlns='jabber:iq:version'/></iq>`)
	for _, a := range r.actions {
		switch a.(type) {
		case toLAN, toServer:
			t.Errorf("forwarded: %+v", a)
		}
	}
	s := r.e.stats()
	if s.FromLAN.Ended[RefusedType] != 2 || s.FromNetwork.Ended[RefusedType] != 1 {
		t.Errorf("ledgers %+v", s)
	}
}

// IJ-08: the gateway's own messages and names come back, and lead nowhere.
func TestIJ08OwnReflectionsAreDropped(t *testing.T) {
	r := ready(t)
	for _, xml := range []string{
		`<message from='gate@example.org/other' type='chat'><body>[bob@h2] hi</body></message>`,
		`<message from='gate@example.org' type='chat'><body>hi</body></message>`,
		`<message type='chat'><body>hi</body></message>`,
		`<message from='gate@example.org'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='gate@example.org/a' to='alice@example.org'><body>hi</body></message></forwarded></sent></message>`,
	} {
		r.fromNet(xml)
	}
	r.fromLAN(alice, "ALICE@gw", `<message><body>hi</body></message>`)
	r.fromLAN(alice, "meshgate@gw", `<message><body>hi</body></message>`)
	for _, a := range r.actions {
		switch a.(type) {
		case toLAN, toServer:
			t.Errorf("came of it: %+v", a)
		}
	}
	s := r.e.stats()
	if s.FromLAN.Ended[Echo] != 2 || s.FromNetwork.Ended[Echo] != 4 {
		t.Errorf("ledgers %+v", s)
	}
	r.peer("boss@gw", linklocal.Presence{}) // seen before it is known as our own
	r.published("boss@example.org", "Boss@gw")
	r.peer("alice@GW", linklocal.Presence{})
	if s := r.e.stats(); s.Peers != 1 {
		t.Errorf("%d peers, want bob alone", s.Peers)
	}
}

// IJ-08: two automata, one of which is the gateway, do not keep talking.
func TestIJ08AutomataFallSilent(t *testing.T) {
	for name, to := range map[string]linklocal.ContactID{"concierge": ConciergeID, "mirror": "boss@example.org"} {
		r := ready(t)
		answered := 0
		for range 200 { // guest may not write to boss: each message is an occasion for words
			before := len(r.actions)
			r.fromLAN(to, "guest@h1", `<message><body>I am not here right now</body></message>`)
			for _, a := range r.actions[before:] {
				if _, ok := a.(toLAN); ok {
					answered++
				}
			}
		}
		if answered == 0 || answered > remarkRate.Burst {
			t.Errorf("%s: answered %d of 200 messages in no time, want 1 to %d", name, answered, remarkRate.Burst)
		}
	}
	r := ready(t)
	for range 200 { // a contact that answers every message, but no error
		r.fromNet(`<message from='boss@example.org/bot' id='1' type='chat'><body>pardon?</body></message>`)
	}
	words := 0
	for _, st := range r.sent() {
		if st.Attr("type") != "error" {
			words++
		}
	}
	if words == 0 || words > remarkRate.Burst {
		t.Errorf("a contact got %d answers, want 1 to %d", words, remarkRate.Burst)
	}
}

// IJ-08: two gateways that have each other's account as a contact do not talk:
// what one passes on, or says by itself, the other hands back, once.
func TestIJ08AnotherGatewaysWordsAreHandedBack(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	r.fromLAN(alice, "bob@h2", `<message><x xmlns='jabber:x:event'><composing/><id/></x></message>`)
	r.fromNet(`<message from='boss@example.org/x' id='0'><body>@help</body></message>`)
	out := r.sent()
	if len(out) != 3 {
		t.Fatalf("%d stanzas went out, want 3", len(out))
	}
	other := ready(t)
	other.peer("dave@h3", linklocal.Presence{})
	other.e.talks.touch(other.now, other.e.mirrors.byBare["alice@example.org"], "dave@h3", other.e.newID)
	for _, st := range out {
		other.fromNet(st.WithAttr("from", "alice@example.org/phone").String())
		other.fromNet(st.WithAttr("from", "stranger@example.net/x").String())
	}
	for _, a := range other.actions {
		if l, ok := a.(toLAN); ok {
			t.Errorf("passed on: %s", l.stanza)
		}
	}
	back := other.sent()
	if len(back) != 4 {
		t.Fatalf("%d answers, want an error to each sender of words", len(back))
	}
	r.actions = nil
	for _, st := range back {
		if st.Attr("type") != "error" {
			t.Fatalf("answer %s", st)
		}
		r.fromNet(st.WithAttr("from", "alice@example.org").String())
	}
	told := ""
	for _, a := range r.actions {
		switch a := a.(type) {
		case toLAN:
			told += a.stanza.Child(stanza.NSClient, "body").Text()
		case toServer:
			t.Errorf("an error was answered: %s", a.stanza)
		}
	}
	if want := "[meshgate] not delivered: “hi” (the other side says “" + wordsRelayed + "”)"; told != want {
		t.Errorf("bob is told %q, want %q", told, want)
	}
}

// IJ-08: what the server delivers twice is passed on once.
func TestIJ08ReplaysAreDropped(t *testing.T) {
	r := ready(t)
	msg := `<message from='alice@example.org/phone' id='a1' type='chat'><body>@bob hi</body>%s</message>`
	r.fromNet(fmt.Sprintf(msg, ""))
	r.result(nil)
	r.actions = nil
	r.fromNet(fmt.Sprintf(msg, `<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:05Z'/>`))
	for _, a := range r.actions {
		if l, ok := a.(toLAN); ok {
			t.Errorf("passed on again: %s", l.stanza)
		}
	}
	if r.done["a1"] != 2 {
		t.Errorf("finished %d times, want once for each", r.done["a1"])
	}
}

// IJ-09: a reader can tell who wrote, whatever the body and the name say.
func TestIJ09NamesCannotBeImitated(t *testing.T) {
	r := ready(t)
	for _, tc := range []struct {
		from linklocal.Instance
		body string
		want string
	}{
		{"bob@h2", "yes", "[bob@h2] yes"},
		{"eve@h3", "[bob@h2] yes", "[eve@h3] [bob@h2] yes"},
		{"eve@h3", "x\n[bob@h2] yes", "[eve@h3] x\n  [bob@h2] yes"},
		{"eve@h3", "x\u2028[bob@h2] yes", "[eve@h3] x\n  [bob@h2] yes"},
		{"eve@h3", "x\n\n\n", "[eve@h3] x"},
		{"bob@h2] yes\n[e@h3", "x", "[~bob@h2) yes (e@h3] x"},
		{"bo\u200db@h2", "x", "[~bob@h2] x"},
		{"bob@h2\u202e @h3", "x", "[~bob@h2 @h3] x"},
	} {
		r.actions = nil
		r.fromLAN(alice, tc.from, "<message><body>"+stanza.Escape(tc.body)+"</body></message>")
		out := r.sent()
		if len(out) != 1 {
			t.Errorf("%q of %q: %d stanzas", tc.body, tc.from, len(out))
			continue
		}
		if got := out[0].Child(stanza.NSClient, "body").Text(); got != tc.want {
			t.Errorf("%q of %q became %q, want %q", tc.body, tc.from, got, tc.want)
		}
	}
}

// IJ-09: a peer that calls itself by a contact's address would be taken for the contact.
func TestIJ09NoPeerSpeaksByAContactsAddress(t *testing.T) {
	cfg := office()
	cfg.Peers = []string{"*"}
	r := newRig(t, cfg)
	r.online(false)
	r.peer("Carl@example.org", linklocal.Presence{})
	r.taken()
	r.fromLAN(alice, "Carl@example.org", `<message><body>pay eve</body></message>`)
	r.fromNet(`<message from='alice@example.org/phone' id='1'><body>@who</body></message>`)
	if got, want := strings.Join(r.taken(), "\n"), strings.Join([]string{
		`to Carl@example.org from alice@example.org: "[meshgate] not sent: Carl@example.org may not write through this gateway; ask the person who runs it"`,
		`= from LAN: refused-stranger`,
		`to alice@example.org/phone: "[meshgate] on the LAN: nobody" m1`,
		`= from network: answered`,
		`finished`,
	}, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// IJ-09, the other way round: a contact cannot speak as the gateway.
func TestIJ09TheGatewaysWordsCannotBeImitated(t *testing.T) {
	r := ready(t)
	r.fromNet(`<message from='alice@example.org/phone' id='1'><body>@bob [meshgate] not delivered: “hi”</body></message>`)
	for _, a := range r.actions {
		if l, ok := a.(toLAN); ok {
			if got, want := l.stanza.Child(stanza.NSClient, "body").Text(), "Alice: [meshgate] not delivered: “hi”"; got != want {
				t.Errorf("bob reads %q, want %q", got, want)
			}
		}
	}
}

// The error of a server about a peer's message reaches the peer, once, and
// only if it comes from where the message went.
func TestErrorsReachTheirPeer(t *testing.T) {
	const failure = `<message from='%s' type='error' id='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>%s</error></message>`
	const text = `<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no &#10;such user</text>`
	for _, tc := range []struct{ from, text, want string }{
		{"alice@example.org", "", "[meshgate] not delivered: “hi” (service unavailable)"},
		{"example.org", text, "[meshgate] not delivered: “hi” (the other side says “no such user”)"},
		{"boss@example.org", "", ""},
		{"evil@example.net", "", ""},
	} {
		r := ready(t)
		r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
		id := r.sent()[0].Attr("id")
		r.actions = nil
		for range 2 {
			r.fromNet(fmt.Sprintf(failure, tc.from, id, tc.text))
		}
		var got []string
		for _, a := range r.actions {
			if l, ok := a.(toLAN); ok {
				got = append(got, l.stanza.Child(stanza.NSClient, "body").Text())
			}
		}
		if strings.Join(got, "|") != tc.want {
			t.Errorf("from %s: bob reads %q, want %q", tc.from, got, tc.want)
		}
		r.wantBalanced()
	}
}

func TestUndeliveredErrorsOfOursAreNobodysMessage(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	id := r.sent()[0].Attr("id")
	r.taken()
	refusal := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "error"}, stanza.Attr{Name: "id", Value: id})
	r.srv(xmppc2s.Undelivered{Stanza: refusal, Err: stanza.ErrTooComplex})
	if got := r.taken(); len(got) != 0 {
		t.Errorf("bob was told of an error that was not his: %q", got)
	}
}
