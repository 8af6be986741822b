package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// LL-10: status and words cross in both directions. What libpurple makes of
// them stands in docs/COMPAT.md.
func TestStatusAndWordsCrossBothWays(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Gateway: GatewayOptions{Race: true}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	for _, s := range []struct{ show, words, shown string }{
		{"away", "at lunch", "available"}, // COMPAT libpurple 2.14
		{"dnd", "in a meeting", "away"},
		{"xa", "gone", "available"},
		{"", "", "available"},
	} {
		alice.Status(s.show, s.words)
		bob.AwaitShown(o.Mirror("alice"), s.shown, s.words)
	}
	for _, s := range []struct{ status, words, list string }{
		{"away", "on the phone", "LAN: bob@h2 (dnd: “on the phone”)"}, // COMPAT libpurple 2.14
		{"available", "back", "LAN: bob@h2 (“back”)"},
		{"available", "", "LAN: bob@h2"},
	} {
		bob.SetStatus(s.status, s.words)
		alice.AwaitStatus(o.GatewayJID(), "", s.list)
		alice.Msg(o.GatewayJID(), "@who")
		alice.AwaitMessage(o.GatewayJID(), strings.Replace(s.list, "LAN: ", "on the LAN: ", 1))
	}
}

// LL-04, LL-17: what avahi sees of a contact is what holds for all, but for
// the contact's own switches; one without any key is seen all the same.
func TestPrivacyIsEachContactsOwn(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{Users: []string{"alice", "carol", "dave"}}
	o := NewOffice(t, opt)
	o.Avahi()
	none := map[string]any{}
	for _, key := range []string{"nick", "first", "last", "email", "jid", "status", "msg", "icon", "vc", "caps", "port", "txtvers"} {
		none[key] = false
	}
	contact := func(user string, publish map[string]any) map[string]any {
		return map[string]any{"jid": o.Server.JID(user), "name": user, "nick": "N", "first": "F", "last": "L", "email": "E", "publish": publish}
	}
	opt.Config = map[string]any{
		"lan.publish.last": true,
		"contacts": []any{
			contact("alice", map[string]any{}),
			contact("carol", map[string]any{"email": true, "jid": true, "nick": false, "last": false, "msg": false, "caps": false, "vc": true}),
			contact("dave", none),
		},
	}
	o.StartGateway(opt)
	for _, user := range opt.Users {
		o.Host("h1").Remote(o.Server, user, RemoteOptions{}).Status("away", "words")
	}
	for user, want := range map[string]string{
		"alice": "hash last=L msg=words nick=N node port.p2pj status=away txtvers=1 ver",
		"carol": "email=E jid=" + o.Server.JID("carol") + " port.p2pj status=away txtvers=1 vc=!",
		"dave":  "",
	} {
		o.Host("h2").AwaitResolved(Patience, fmt.Sprintf("%s with %q", user, want), func(all []Service) bool {
			i := slices.IndexFunc(all, func(s Service) bool { return s.Name == o.Mirror(user) })
			return i >= 0 && keysOf(all[i].TXT) == want
		})
	}
}

// keysOf writes a TXT record in order, without the values that are not the
// configuration's.
func keysOf(txt map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(txt)) {
		switch key {
		case "hash", "node", "ver", "port.p2pj":
		default:
			key += "=" + txt[key]
		}
		out = append(out, key)
	}
	return strings.Join(out, " ")
}

// LL-16: a person who writes over a plain channel is told what that means,
// once for ever.
func TestPlainChannelIsToldOnce(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Users: []string{"alice", "dora"}, Config: map[string]any{"lan.tls.warn": true}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Reconnect: true})
	dora := o.Host("h1").Remote(o.Server, "dora", RemoteOptions{Reconnect: true})
	bob, carol := o.Host("h2").Purple("bob", PurpleOptions{}), o.Host("h2").Purple("carol", PurpleOptions{})
	const words = "neither encrypted nor authenticated"
	told := func(p *Purple) (n int) {
		for _, im := range p.IMs() {
			if strings.Contains(im.Text(), words) {
				n++
			}
		}
		return n
	}
	bob.AwaitOn(o.Mirror("alice"))
	bob.Msg(o.Mirror("alice"), "hello")
	if im := bob.NextIM(); im.From != o.Mirror("alice") || !strings.Contains(im.Text(), words) {
		t.Errorf("bob reads %q in the window of %s", im.Text(), im.From)
	}
	alice.AwaitMessage(o.GatewayJID(), "hello")
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2, carol@h2")
	alice.Msg(o.GatewayJID(), "@carol hello")
	carol.AwaitIM(o.Mirror("alice"), "hello")
	if im := carol.NextIM(); im.From != o.Mirror("alice") || !strings.Contains(im.Text(), words) {
		t.Errorf("carol reads %q in the window of %s", im.Text(), im.From)
	}

	again := func(text string) {
		t.Helper()
		bob.AwaitOn(o.Mirror("dora"))
		bob.Msg(o.Mirror("dora"), text)
		dora.AwaitMessage(o.GatewayJID(), text)
		dora.Msg(o.GatewayJID(), "answer to "+text) // what is said before it is there before it
		bob.AwaitIM(o.Mirror("dora"), "answer to "+text)
	}
	again("to another contact")
	if code := o.Gateway.Stop(); code != 0 {
		t.Errorf("gateway ended with status %d", code)
	}
	bob.AwaitRemoved(o.Mirror("dora"))
	o.Gateway.Start()
	again("after a restart")
	if n, m := told(bob), told(carol); n != 1 || m != 1 {
		t.Errorf("bob was told %d times, carol %d times, want once", n, m)
	}
}

// LL-15: a picture of the network's is seen in libpurple, and libpurple's is
// the gateway's on the network.
func TestPicturesCrossBothWays(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Gateway: GatewayOptions{Verbose: true}})
	h1, h2 := o.Host("h1"), o.Host("h2")
	alice := h1.Remote(o.Server, "alice", RemoteOptions{})
	alice.AwaitPresence(o.GatewayJID(), "")
	picture := portrait(t, 3)
	bob := h2.Purple("bob", PurpleOptions{Icon: h2.WriteFile("bob.png", portrait(t, 5))})
	bob.AwaitOn(o.Mirror("alice"))
	alice.Raw("<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>" +
		base64.StdEncoding.EncodeToString([]byte(picture)) + "</BINVAL></PHOTO></vCard></iq>")
	alice.Raw("<presence><x xmlns='vcard-temp:x:update'><photo>" + hashOf(picture) + "</photo></x></presence>")
	if hash, size := bob.AwaitIcon(o.Mirror("alice")); hash != hashOf(picture) || size != len(picture) {
		t.Errorf("bob sees a picture of %d bytes with hash %s, want %d, %s", size, hash, len(picture), hashOf(picture))
	}

	o.Gateway.ExpectWithin(2*Patience, "the account's picture is made") // 30 s after it came
	for i := range 5 {
		// Prosody says the hash with the next presence only.
		bob.SetStatus("available", fmt.Sprint(i))
		e := alice.AwaitStatus(o.GatewayJID(), "", fmt.Sprintf("LAN: bob@h2 (“%d”)", i))
		if strings.Contains(e.XML, "<photo>"+hashOf(portrait(t, 5))+"</photo>") {
			return
		}
	}
	t.Error("bob's picture is not the gateway's")
}
