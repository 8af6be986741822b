package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/bridge/rooms"
	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// fakeRooms are rooms that somebody else owns.
type fakeRooms []rooms.Info

func (l fakeRooms) List() []rooms.Info { return l }

func (l fakeRooms) ByName(name string) (rooms.Info, bool) {
	return l.find(func(r rooms.Info) bool { return r.Name == name })
}

func (l fakeRooms) ByMUC(j jid.JID) (rooms.Info, bool) {
	return l.find(func(r rooms.Info) bool { return r.MUC.Equal(j) })
}

func (l fakeRooms) find(fits func(rooms.Info) bool) (rooms.Info, bool) {
	if i := slices.IndexFunc(l, fits); i >= 0 {
		return l[i], true
	}
	return rooms.Info{}, false
}

func (l fakeRooms) join(name, who string, member bool) {
	i := slices.IndexFunc(l, func(r rooms.Info) bool { return r.Name == name })
	if member {
		l[i].Members = append(l[i].Members, who)
	} else {
		l[i].Occupants = append(l[i].Occupants, who)
	}
}

// CQ-13: those of a large MUC whose names are not known are counted.
func TestOccupantsWithoutANameAreCounted(t *testing.T) {
	r := rooms.Info{Name: "Lab", MUC: jid.MustParse("lab@muc"), State: "joined", Occupants: []string{"alice"}, More: 41}
	if got := wordsRoom(r, nil, 0); !strings.HasSuffix(got, "\non the network: alice and 41 more") {
		t.Errorf("who: %q", got)
	}
	if got := describeRoom(r); !strings.Contains(got, "42 on the network") {
		t.Errorf("rooms: %q", got)
	}
	r.Occupants = slices.Repeat([]string{strings.Repeat("x", maxNick)}, 1000)
	if got := wordsRoom(r, nil, 0); len(got) > maxWho+100 || !strings.HasSuffix(got, fmt.Sprint(" and ", 1041-strings.Count(got, "x, x")-1, " more")) {
		t.Errorf("too many: %q", got)
	}
}

// addRoom has one more: name, address, group or "-", and perhaps "members".
func (r *rig) addRoom(f []string) {
	info := rooms.Info{Name: string(instance(f[0])), MUC: jid.MustParse(f[1]), State: "joined", MembersOnly: len(f) > 3}
	if f[2] != "-" {
		info.Group = netip.MustParseAddrPort(f[2])
	}
	r.rooms = append(r.rooms, info)
	r.e.rooms = r.rooms
}

func (r *rig) commandInvited(direct bool, rest string) {
	f := append(strings.SplitN(rest, " ", 4), "")
	user, res, _ := strings.Cut(f[0], "/")
	from := user + "@example.org/" + res
	if strings.Contains(user, "@") {
		from = f[0]
	}
	r.invited(direct, from, f[1], f[2], f[3], "")
}

// invited lets an invitation arrive from the server.
func (r *rig) invited(direct bool, from, id, muc, reason, extra string) {
	reason = stanza.Escape(reason)
	xml := fmt.Sprintf("<message from='%s' id='%s'><x xmlns='%s'><invite from='%s'><reason>%s</reason></invite></x>%s</message>", muc, id, stanza.NSMUCUsr, from, reason, extra)
	if direct {
		xml = fmt.Sprintf("<message from='%s' id='%s'><x xmlns='jabber:x:conference' jid='%s' reason='%s'/>%s</message>", from, id, muc, reason, extra)
	}
	st := r.parse(xml)
	who, _ := jid.Parse(from)
	said := st.Child(stanza.NSMUCUsr, "x").Child(stanza.NSMUCUsr, "invite").Child(stanza.NSMUCUsr, "reason").Text() + st.Child(stanza.NSConf, "x").Attr("reason")
	r.arrive(xmppc2s.RoomInvited{Room: jid.MustParse(muc), From: who, Direct: direct, Reason: said}, xml)
}

// arrive lets an invitation arrive in these words.
func (r *rig) arrive(ev xmppc2s.RoomInvited, xml string) {
	r.came = append(r.came, arrival{xml, &ev})
	ev.Stanza = r.parse(xml)
	id := ev.Stanza.Attr("id")
	ev.Done = func() { r.done[id]++ }
	r.srv(ev)
}

// roomy is a rig with a room.
func roomy(t *testing.T) *rig {
	r := ready(t)
	r.addRoom([]string{"Witchcraft", "witchcraft@conference.example.org", "239.255.71.66:13251"})
	return r
}

// cliqueInvite is an invitation as Salut writes it: name, reason, address, what
// else there is in it.
const cliqueInvite = `<message type='normal' from='bob@h2' to='x@gw'><body>You got a Clique chatroom invitation</body>` +
	`<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>%s</roomname><reason>%s</reason><address>%s</address><port>13251</port>%s</invite></message>`

// wantDirect is the one direct invitation (XEP-0249) that went out.
func (r *rig) wantDirect(t *testing.T) (x *stanza.Element) {
	t.Helper()
	out := r.sent()
	if len(out) != 1 || out[0].Child(stanza.NSConf, "x") == nil {
		t.Fatalf("went out: %v, want one direct invitation", out)
	}
	return out[0].Child(stanza.NSConf, "x")
}

// CQ-11: the invitation of Salut is understood, whatever its type, body and
// foreign children are, and none of these gets out (IJ-02, IJ-03).
func TestCQ11InvitationsOfPeersAreUnderstood(t *testing.T) {
	properties := "<properties xmlns='http://laptop.org/xmpp/activity-properties'><property name='x'>secret</property></properties>"
	for name, xml := range map[string]string{
		"Salut":     fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""),
		"OLPC":      fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", properties),
		"chat":      strings.Replace(fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""), "normal", "chat", 1),
		"groupchat": strings.Replace(fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""), "normal", "groupchat", 1),
		"other body": strings.Replace(fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""),
			"You got a Clique chatroom invitation", "come &amp; see", 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := roomy(t)
			r.fromLAN(alice, "bob@h2", xml)
			x := r.wantDirect(t)
			if jid, why := x.Attr("jid"), x.Attr("reason"); jid != "witchcraft@conference.example.org" || why != "[bob@h2] plot" {
				t.Errorf("invited to %q, %q", jid, why)
			}
			st := r.sent()[0]
			if st.Attr("to") != string(alice) || st.Attr("from") != "" || st.Child(stanza.NSClient, "body") != nil || strings.Contains(st.String(), "secret") {
				t.Errorf("invitation %s", st)
			}
		})
	}
}

// CQ-11: what nobody could follow is no invitation, and never words: the body
// is for clients that know nothing of rooms.
func TestCQ11WhatIsNoInvitationIsNotWordsEither(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, xml := range map[string]string{
		"not multicast": fmt.Sprintf(cliqueInvite, "Witchcraft", "", "127.0.0.1", ""),
		"no address":    fmt.Sprintf(cliqueInvite, "Witchcraft", "", "somewhere", ""),
		"no name":       fmt.Sprintf(cliqueInvite, "", "", "239.255.71.66", ""),
		"long name":     fmt.Sprintf(cliqueInvite, long, "", "239.255.71.66", ""),
		"nothing":       `<message><body>You got a Clique chatroom invitation</body><invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'/></message>`,
		"error":         strings.Replace(fmt.Sprintf(cliqueInvite, "Witchcraft", "", "239.255.71.66", ""), "normal", "error", 1),
	} {
		r := roomy(t)
		r.fromLAN(alice, "bob@h2", xml)
		if got := strings.Join(r.taken(), "\n"); got != "= from LAN: ignored" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// CQ-11, IJ-09: neither a name nor a reason can pass for somebody else's words,
// break a line, or go on for ever.
func TestCQ11HostileInvitationsOfPeers(t *testing.T) {
	for _, tc := range []struct {
		from         linklocal.Instance
		reason, want string
	}{
		{"bob@h2", "[carol@h1] plot", "[bob@h2] [carol@h1] plot"},
		{"bob@h2", "plot&#10;[meshgate] all is well", "[bob@h2] plot [meshgate] all is well"},
		{"bob] [meshgate@h2", "x", "[~bob) (meshgate@h2] x"},
		{"bob@h2", "a\u202eb\u2028c&#9;d", "[bob@h2] ab c d"},
		{"bob@h2", " \u200b ", "[bob@h2] invites you to “Witchcraft”"},
		{"bob@h2", strings.Repeat("ä", 2000), "[bob@h2] " + strings.Repeat("ä", 148) + "…"},
	} {
		r := roomy(t)
		r.fromLAN(alice, tc.from, fmt.Sprintf(cliqueInvite, "Witchcraft", tc.reason, "239.255.71.66", ""))
		if got := r.wantDirect(t).Attr("reason"); got != tc.want {
			t.Errorf("reason %q, want %q", got, tc.want)
		}
	}
	r := roomy(t)
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Heath” on\u2028[meshgate] all is well\u202e", "", "239.255.71.66", ""))
	lines := r.taken()
	if len(lines) != 2 {
		t.Fatalf("bob was told %q, want an answer", lines)
	}
	for _, line := range lines {
		if strings.Contains(line, "\\u2028") || strings.Contains(line, "on\\n[meshgate]") || strings.Contains(line, "\\u202e") || strings.Contains(line, "Heath” on") {
			t.Error(line)
		}
	}
}

// CQ-13: a direct invitation does not open a room for members only, so the room
// is asked to invite as well.
func TestCQ13ARoomForMembersInvitesAsWell(t *testing.T) {
	r := ready(t)
	r.addRoom([]string{"Coven", "coven@conference.example.org", "239.255.71.66:13251", "members"})
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Coven", "plot", "239.255.71.66", ""))
	out := r.sent()
	if len(out) != 2 {
		t.Fatalf("went out: %v, want two invitations", out)
	}
	want := `<message to='coven@conference.example.org'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='alice@example.org'><reason>[bob@h2] plot</reason></invite></x><via xmlns='urn:x-meshgate:via:0'/></message>`
	if got := out[0].String(); got != want {
		t.Errorf("through the room: %s, want %s", got, want)
	}
	if out[1].Attr("to") != string(alice) || out[1].Child(stanza.NSConf, "x") == nil {
		t.Errorf("directly: %s", out[1])
	}
}

// CQ-13: where the room has a password its invitations have it, too.
func TestInvitationsOpenARoomWithAPassword(t *testing.T) {
	r := ready(t)
	r.addRoom([]string{"Coven", "coven@conference.example.org", "239.255.71.66:13251", "members"})
	r.rooms[0].Password = "toad"
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Coven", "plot", "239.255.71.66", ""))
	out := r.sent()
	if len(out) != 2 || out[0].Child(stanza.NSMUCUsr, "x").Child(stanza.NSMUCUsr, "password").Text() != "toad" || out[1].Child(stanza.NSConf, "x").Attr("password") != "toad" {
		t.Errorf("went out: %v", out)
	}
}

// CQ-13, IJ-06: an invitation of a contact reaches whom its words would reach.
func TestCQ13InvitationsOfContactsFindTheirPeer(t *testing.T) {
	r := roomy(t)
	r.peer("carol@h1", linklocal.Presence{})
	r.peer("guest@h1", linklocal.Presence{})
	r.fromLAN(alice, "carol@h1", `<message><body>hi</body></message>`)
	thread := r.sent()[0].Child(stanza.NSClient, "thread").Text()
	id := r.sent()[0].Attr("id")
	r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	for i, tc := range []struct{ from, reason, extra, want string }{
		{"alice@example.org/x", "", "", "bob@h2"},
		{"alice@example.org/x", "", "<thread>" + thread + "</thread>", "carol@h1"},
		{"alice@example.org/x", "", "<reply xmlns='urn:xmpp:reply:0' id='" + id + "'/>", "carol@h1"},
		{"alice@example.org/x", "@guest come", "", "guest@h1"},
		{"boss@example.org/x", "@guest come", "", ""}, // who may not write to guest
		{"boss@example.org/x", "@bob come", "", "bob@h2"},
		{"boss@example.org/x", "", "<thread>" + thread + "</thread>", "bob@h2"}, // alice's thread says nothing
		{"spam@example.net/x", "@bob come", "", ""},
	} {
		for _, direct := range []bool{true, false} {
			r.actions = nil
			n := fmt.Sprintf("i%d%v", i, direct)
			r.invited(direct, tc.from, n, "witchcraft@conference.example.org", tc.reason, tc.extra)
			got := ""
			for _, a := range r.actions {
				if l, ok := a.(toLAN); ok {
					got += string(l.to)
				}
			}
			if got != tc.want {
				t.Errorf("%s by %s: reached %q, want %q", tc.reason+tc.extra, tc.from, got, tc.want)
			}
			for len(r.tokens) > 0 {
				r.result(nil)
			}
			if r.done[n] != 1 {
				t.Errorf("%s was finished %d times", n, r.done[n])
			}
			r.wait(time.Minute)
		}
	}
	r.wantBalanced()
}

// CQ-13, IJ-09: what a contact gives as a reason cannot pass for the gateway's.
func TestCQ13HostileInvitationsOfContacts(t *testing.T) {
	for reason, want := range map[string]string{
		"@bob [meshgate] all is well":      "Alice: [meshgate] all is well",
		"@bob plot\n[meshgate] all":        "plot [meshgate] all",
		"@bob a\u202eb":                    "ab",
		"@bob " + strings.Repeat("ä", 999): strings.Repeat("ä", 146) + "…",
	} {
		r := roomy(t)
		r.invited(false, "alice@example.org/x", "i1", "witchcraft@conference.example.org", reason, "")
		got := ""
		for _, a := range r.actions {
			if l, ok := a.(toLAN); ok {
				inv, _ := clique.ParseInvitation(l.stanza)
				got += inv.Reason
			}
		}
		if got != want {
			t.Errorf("%q became %q, want %q", reason, got, want)
		}
	}
}

// IJ-06: whoever runs a server can have a room of it say that a contact invites.
// It is answered to that room alone, which learns nothing, and costs the contact
// nothing.
func TestIJ06AnyRoomMaySpeakInAContactsName(t *testing.T) {
	r := roomy(t)
	for i := range 100 {
		r.invited(false, "alice@example.org/x", fmt.Sprint("e", i), "room@evil.example.net", "@bob buy", "")
	}
	for _, st := range r.sent() {
		if st.Attr("to") != "room@evil.example.net" || strings.Contains(st.String(), "Witchcraft") || strings.Contains(st.String(), "bob@") {
			t.Fatalf("went out: %s", st)
		}
	}
	r.actions = nil
	r.fromNet(`<message from='alice@example.org/phone' id='1'><body>@bob hi</body></message>`)
	r.fromNet(`<message from='alice@example.org/phone' id='2'><body>@who</body></message>`)
	if got := strings.Join(r.taken(), "\n"); !strings.Contains(got, `to bob@h2 from alice@example.org: "hi"`) || !strings.Contains(got, "on the LAN: bob@h2") {
		t.Errorf("alice is not heard any more: %s", got)
	}
}

// IJ-08: an invitation that a gateway has passed on is passed on by none, on
// neither side, so none ever causes another one.
func TestIJ08InvitationsOfGatewaysLeadNowhere(t *testing.T) {
	ours := func(r *rig) (lan, network *stanza.Element) {
		r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""))
		r.invited(true, "alice@example.org/x", "i1", "witchcraft@conference.example.org", "@bob come", "")
		for _, a := range r.actions {
			if l, ok := a.(toLAN); ok {
				lan = l.stanza
			}
		}
		return lan, r.sent()[0]
	}
	lan, network := ours(roomy(t))
	r := roomy(t)
	r.fromLAN(alice, "bob@h2", lan.String())
	if got, want := strings.Join(r.taken(), "\n"), "to bob@h2 from alice@example.org: \"[meshgate] "+wordsRelayed+"\"\n= from LAN: refused-type"; got != want {
		t.Errorf("on the LAN: %s, want %s", got, want)
	}
	st := network.WithAttr("from", "alice@example.org/x").WithAttr("id", "i2")
	r.srv(xmppc2s.RoomInvited{Room: jid.MustParse("witchcraft@conference.example.org"), From: jid.MustParse("alice@example.org/x"), Direct: true, Stanza: st, Done: func() { r.done["i2"]++ }})
	if got, want := strings.Join(r.taken(), "\n"), "to alice@example.org/x: error not-acceptable to i2: "+wordsRelayed+"\n= from network: refused-type\nfinished"; got != want {
		t.Errorf("on the network: %s, want %s", got, want)
	}
}

// IJ-08: what the server sends again is not another invitation.
func TestIJ08AnInvitationThatComesAgainIsOne(t *testing.T) {
	r := roomy(t)
	r.invited(true, "alice@example.org/x", "i1", "witchcraft@conference.example.org", "@bob come", "")
	r.result(nil)
	r.taken()
	r.invited(true, "alice@example.org/x", "i1", "witchcraft@conference.example.org", "@bob come", "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/>")
	if got := strings.Join(r.taken(), "\n"); got != "= from network: duplicate\nfinished" {
		t.Errorf("again: %s", got)
	}
}

// An error tells a room to put us out (XEP-0045 §11.1), so a room gets none.
func TestNoErrorGoesToARoom(t *testing.T) {
	r := roomy(t)
	r.e.cfg.Limits.PendingToLAN = 2
	for i := range 200 {
		r.invited(false, "alice@example.org/x", fmt.Sprint("i", i), "witchcraft@conference.example.org", []string{"@bob", "@dave", ""}[i%3], "")
		r.invited(false, "spam@example.net/x", fmt.Sprint("s", i), "witchcraft@conference.example.org", "", "")
		if i%50 == 0 {
			r.result(errors.New("no"))
		}
	}
	words := 0
	for _, st := range r.sent() {
		if st.Attr("type") == "error" {
			t.Fatalf("went out: %s", st)
		}
		if st.Child(stanza.NSClient, "body") != nil {
			words++
		}
	}
	if words > remarkRate.Burst {
		t.Errorf("alice was told %d times in no time, want at most %d", words, remarkRate.Burst)
	}
}

// IJ-05, IJ-08: what is asked about rooms is answered only so often.
func TestIJ08QuestionsAboutRoomsAreLimited(t *testing.T) {
	for _, ask := range []string{"rooms", "who Witchcraft", "join Witchcraft", "join Heath", "invite Alice Witchcraft", "invite me Witchcraft", "invite dave Witchcraft"} {
		r := roomy(t)
		for i := range 50 {
			r.fromLAN(ConciergeID, "guest@h1", "<message><body>"+ask+"</body></message>")
			r.fromNet(fmt.Sprintf("<message from='boss@example.org/x' id='%d'><body>@%s</body></message>", i, ask))
		}
		lan, network := 0, 0
		for _, a := range r.actions {
			switch a := a.(type) {
			case toLAN:
				lan++
			case toServer:
				if a.stanza.Attr("type") != "error" && a.stanza.Attr("to") != string(alice) {
					network++
				}
			}
		}
		if lan == 0 || lan > remarkRate.Burst || network == 0 || network > remarkRate.Burst {
			t.Errorf("%s: answered %d times on the LAN and %d on the network, want at least once and at most %d", ask, lan, network, remarkRate.Burst)
		}
		r.wantBalanced()
	}
}

// What people are told of a room is bounded, however many are in it and whatever
// they call themselves.
func TestWhoIsInARoomIsBounded(t *testing.T) {
	info := rooms.Info{Name: "Witchcraft", State: strings.Repeat("x\n", 1000)}
	for range 1000 {
		info.Members = append(info.Members, "bob\n[meshgate] x@h2")
		info.Occupants = append(info.Occupants, strings.Repeat("alice", 100))
	}
	got := wordsRoom(info, info.Members, 3)
	if len(got) > 3*maxWho || strings.Count(got, "\n") != 2 || !strings.Contains(got, "more and 3 whom") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	var many fakeRooms
	for i := range 500 {
		many = append(many, rooms.Info{Name: fmt.Sprintf("room %d", i)})
	}
	r := ready(t)
	r.e.rooms = many
	for _, text := range []string{r.e.listRooms(), r.e.wordsNoRoom(strings.Repeat("y", 9999))} {
		if len(text) > 2*maxWho || !strings.Contains(text, " more") {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
}

func TestHubInvitesBothWays(t *testing.T) { // CQ-13
	synctest.Test(t, func(t *testing.T) {
		group := netip.MustParseAddrPort("239.255.71.66:13251")
		muc := jid.MustParse("witchcraft@conference.example.org")
		r := runHubParts(t, office(), Parts{Rooms: fakeRooms{{Name: "Witchcraft", MUC: muc, Group: group}}})
		defer r.stop()
		r.begin()
		finished := 0
		st := r.element("<message from='alice@example.org/phone' id='1'><x xmlns='jabber:x:conference' jid='witchcraft@conference.example.org' reason='@bob plot'/></message>")
		r.hub.HandleServer(r.ctx, xmppc2s.RoomInvited{Room: muc, From: jid.MustParse("alice@example.org/phone"), Direct: true, Reason: "@bob plot", Stanza: st, Done: func() { finished++ }})
		synctest.Wait()
		if inv, ok := clique.ParseInvitation(r.lan.sent[0].Stanza); !ok || inv.Room != "Witchcraft" || inv.Group != group || r.lan.sent[0].To != "bob@h2" {
			t.Errorf("the LAN got %+v", r.lan.sent[0])
		}
		if finished != 1 {
			t.Errorf("finished %d times", finished)
		}
		r.hub.HandleLAN(r.ctx, linklocal.Received{To: alice, From: "bob@h2", Stanza: r.element(fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""))})
		synctest.Wait()
		r.srv.mu.Lock()
		last := r.srv.sent[len(r.srv.sent)-1]
		r.srv.mu.Unlock()
		if x := last.Child(stanza.NSConf, "x"); x.Attr("jid") != muc.String() || x.Attr("reason") != "[bob@h2] plot" {
			t.Errorf("the server got %s", last)
		}
	})
}

// Without rooms, what is said about them leads nowhere, in words.
func TestAHubWithoutRoomsInvitesNobody(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Witchcraft", "plot", "239.255.71.66", ""))
	r.invited(true, "alice@example.org/x", "i1", "witchcraft@conference.example.org", "@bob plot", "")
	r.invited(false, "alice@example.org/x", "i2", "witchcraft@conference.example.org", "@bob plot", "")
	want := []string{
		`to bob@h2 from alice@example.org: "[meshgate] ` + wordsUnmapped("Witchcraft") + `"`,
		`= from LAN: answered`,
		`to alice@example.org/x: "[meshgate] ` + wordsUnmapped("witchcraft@conference.example.org") + `" m1`,
		`= from network: answered`, `finished`,
		fmt.Sprintf(`to witchcraft@conference.example.org: decline alice@example.org/x %q`, wordsUnmapped("witchcraft@conference.example.org")),
		`= from network: answered`, `finished`,
	}
	if d := cmp.Diff(want, r.taken()); d != "" {
		t.Error(d)
	}
}
