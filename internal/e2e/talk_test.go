package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The main job: Bob has Pidgin's Bonjour client on the LAN and sees Alice, who
// is on an XMPP server with a client nobody here wrote.

func TestBobAndAliceTalkThroughProsody(t *testing.T) {
	t.Parallel()
	mainJob(t, OfficeOptions{Gateway: GatewayOptions{Race: true}})
}

func TestBobAndAliceTalkThroughEjabberd(t *testing.T) {
	t.Parallel()
	mainJob(t, OfficeOptions{Ejabberd: true, Gateway: GatewayOptions{Race: true}})
}

// mainJob: LL-02, LL-03, LL-04, LL-10, LL-11, LL-12, LL-14, IJ-02, IJ-03, IJ-06, IJ-09.
func mainJob(t *testing.T, opt OfficeOptions) {
	o := OpenOffice(t, opt)
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Resource: "desk"})
	alice.AwaitPresence(o.GatewayJID(), "") // they have subscribed to each other
	alice.Status("", "in the other city")
	bob := o.Host("h2").Purple("bob", PurpleOptions{First: "Bob"})

	bob.AwaitOn(o.Mirror("alice"))
	bob.AwaitShown(o.Mirror("alice"), "available", "in the other city")

	bob.Msg(o.Mirror("alice"), "Hello Alice, 1 &lt; 2")
	e := alice.AwaitMessage(o.GatewayJID(), "Hello Alice")
	if want := "[bob@h2] Hello Alice, 1 < 2"; e.Body != want {
		t.Errorf("alice reads %q, want %q", e.Body, want)
	}
	if strings.Contains(e.XML, "xhtml") || strings.Contains(e.XML, "jabber:x:event") || strings.Contains(e.From, "bob") {
		t.Errorf("more came through than the allow-list has: %s", e.XML)
	}

	alice.SendMessage(Message{To: e.From, Body: "Hi Bob, 2 > 1 & so on\nsecond line", Thread: e.Thread, ID: "r1", RequestReceipt: true})
	if im := bob.NextIM(); im.From != o.Mirror("alice") || im.Text() != "Hi Bob, 2 > 1 & so on\nsecond line" {
		t.Errorf("bob reads %q from %s", im.Text(), im.From)
	}
	alice.AwaitReceipt("r1")

	alice.Status("dnd", "in a meeting")
	bob.AwaitStatus(o.Mirror("alice"), "away", "in a meeting") // libpurple shows dnd as away

	alice.Msg(o.GatewayJID(), "@who")
	if e := alice.AwaitMessage(o.GatewayJID(), "bob@h2"); !strings.Contains(e.Body, "bob@h2") {
		t.Errorf("who says %q", e.Body)
	}
	bob.Msg(o.Mirror("meshgate"), "who")
	if im := bob.NextIM(); im.From != o.Mirror("meshgate") || !strings.Contains(im.Text(), "alice") {
		t.Errorf("the concierge says %q", im.Text())
	}

	bob.CloseChat(o.Mirror("alice")) // ends the XML stream
	alice.Msg(o.GatewayJID(), "are you still there?")
	bob.AwaitIM(o.Mirror("alice"), "are you still there?")

	bob.Quit()
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: nobody")
	alice.SendMessage(Message{To: o.GatewayJID(), Body: "gone?", ID: "late"})
	if e := alice.AwaitError("late"); !strings.Contains(e.XML, "bob@h2") {
		t.Errorf("alice is not told who left: %s", e.XML)
	}

	carol := o.Host("h2").Purple("carol", PurpleOptions{})
	carol.AwaitOn(o.Mirror("alice"))
	alice.Quit()
	carol.AwaitRemoved(o.Mirror("alice"))

	if code := o.Gateway.Stop(); code != 0 {
		t.Errorf("gateway ended with status %d, want 0", code)
	}
	carol.AwaitRemoved(o.Mirror("meshgate"))
}

func TestOfflineContactIsShownAsConfigured(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{}
	o := NewOffice(t, opt)
	o.Avahi()
	opt.Config = map[string]any{"contacts": []any{map[string]any{"jid": o.Server.JID("alice"), "name": "alice", "offline": "show"}}}
	o.StartGateway(opt)
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	if b := bob.Buddies()[o.Mirror("alice")]; b.Status != "away" || !strings.Contains(b.Message, "offline") {
		t.Errorf("bob sees %+v, want away, offline", b)
	}

	bob.Msg(o.Mirror("alice"), "for when you are back")
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	e := alice.AwaitMessage(o.GatewayJID(), "for when you are back")
	if !e.Delayed {
		t.Error("the server has not kept the message")
	}
	alice.Status("", "here")
	bob.AwaitStatus(o.Mirror("alice"), "available", "here")
}

// IJ-05, IJ-06: default deny on both sides.
func TestStrangersAreNotLetThrough(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{Users: []string{"alice", "mallory"}, Hosts: 3}
	o := NewOffice(t, opt)
	o.Avahi()
	opt.Config = map[string]any{
		"contacts": []any{map[string]any{"jid": o.Server.JID("alice"), "name": "alice"}},
		"peers":    []any{"bob@h2"},
	}
	o.StartGateway(opt)
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	mallory := o.Host("h1").Remote(o.Server, "mallory", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	eve := o.Host("h3").Purple("eve", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	eve.AwaitOn(o.Mirror("alice"))

	eve.Msg(o.Mirror("alice"), "let me in")
	if im := eve.NextIM(); im.From != o.Mirror("alice") || !strings.Contains(im.Text(), "[meshgate]") {
		t.Errorf("eve is told %q", im.Text())
	}
	mallory.SendMessage(Message{To: o.GatewayJID(), Body: "@bob@h2 let me in", ID: "m"})
	mallory.AwaitError("m")

	bob.Msg(o.Mirror("alice"), "only I am heard")
	alice.AwaitMessage(o.GatewayJID(), "only I am heard")
	if n := len(alice.Messages()); n != 1 {
		t.Errorf("alice has %d messages, want 1", n)
	}
	if ims := bob.IMs(); len(ims) != 0 {
		t.Errorf("bob has %v, want nothing", ims)
	}
}

// LL-05: the name of a contact is taken already, and its holder keeps it.
func TestAMirrorGivesWayToAnEstablishedPeer(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{}
	o := NewOffice(t, opt)
	o.Avahi()
	holder, name := o.Host("h2").Publish(o.Mirror("alice"), "_presence._tcp", 5999, "txtvers=1", "status=avail")
	if name != o.Mirror("alice") {
		t.Fatalf("avahi published %q", name)
	}
	o.StartGateway(opt)
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn("alice1@gw")
	bob.Msg("alice1@gw", "is it you?")
	alice.AwaitMessage(o.GatewayJID(), "is it you?")
	holder.Refute(`renam`)
}

// LL-01, LL-02: A and AAAA are published, and whichever the peer dials, and
// whichever we do, the other side knows it for ours.
func TestTheyTalkOnADualStackLAN(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{IPv6: true})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2") // before, his calls are a stranger's
	bob.Msg(o.Mirror("alice"), "by which way?")          // libpurple takes IPv6 first
	alice.AwaitMessage(o.GatewayJID(), "by which way?")
	bob.CloseChat(o.Mirror("alice"))
	alice.Msg(o.GatewayJID(), "by any")
	bob.AwaitIM(o.Mirror("alice"), "by any")
}

// SM-07, SM-08: the uplink breaks again and again while they talk.
func TestNothingIsLostWhenTheUplinkBreaks(t *testing.T) {
	t.Parallel()
	for name, ejabberd := range map[string]bool{"Prosody": false, "ejabberd": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var proxy *Proxy
			opt := OfficeOptions{
				Ejabberd: ejabberd,
				Through: func(s *Server) string {
					if proxy == nil {
						proxy = s.Host().Proxy(s.LoopbackAddr())
					}
					return proxy.Addr()
				},
				Config: map[string]any{
					"limits.peer_messages_per_minute": 6000, "limits.peer_burst": 1000,
					"limits.contact_messages_per_minute": 6000, "limits.contact_burst": 1000,
				},
			}
			brokenUplink(t, opt, &proxy)
		})
	}
}

func brokenUplink(t *testing.T, opt OfficeOptions, proxy **Proxy) {
	o := OpenOffice(t, opt)
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	bob.Msg(o.Mirror("alice"), "start")
	alice.AwaitMessage(o.GatewayJID(), "start")
	presences := len(alice.Events())

	const rounds, each = 6, 10
	for round := range rounds {
		cut := []Cut{RST, FIN}[round%2]
		for i := range each {
			n := round*each + i
			bob.Msg(o.Mirror("alice"), fmt.Sprintf("up %d.", n))
			alice.Msg(o.GatewayJID(), fmt.Sprintf("down %d.", n))
			if i == each/2 {
				(*proxy).Cut(cut)
			}
		}
		for i := range each {
			n := round*each + i
			alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("up %d.", n))
			bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", n))
		}
	}
	want := rounds * each
	if got := len(alice.Messages()) - 1; got != want {
		t.Errorf("alice has %d messages, want %d", got, want)
	}
	if got := len(bob.IMs()); got != want {
		t.Errorf("bob has %d messages, want %d", got, want)
	}
	for _, e := range alice.Events()[presences:] {
		if e.Ev == "presence" && strings.HasPrefix(e.From, o.GatewayJID()) && e.Type == "unavailable" {
			t.Errorf("alice saw the gateway leave: %s", e.XML)
		}
	}
	if n := bob.Count(`^REMOVED\talice@gw`); n != 0 {
		t.Errorf("bob saw alice leave %d times", n)
	}
}

// LL-11: kill -9 of a peer's whole machine is noticed when its records run
// out; here the orderly end of ours: goodbyes are out before the process ends.
func TestAnOrderlyStopSaysGoodbye(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Users: []string{"alice", "anna", "arno"}})
	h1 := o.Host("h1")
	users := []string{"alice", "anna", "arno"}
	for _, user := range users {
		h1.Remote(o.Server, user, RemoteOptions{})
	}
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	for _, user := range users {
		bob.AwaitOn(o.Mirror(user))
	}
	start := time.Now()
	o.Gateway.Signal(syscall.SIGTERM)
	for _, user := range users {
		bob.AwaitRemoved(o.Mirror(user))
	}
	if code := o.Gateway.Wait(); code != 0 {
		t.Errorf("status %d, want 0", code)
	}
	t.Logf("all gone after %v", time.Since(start))
}

// A wrong password is said in words, the LAN still has the concierge, and the
// server is left in peace.
func TestWrongPasswordIsSaidInWords(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Config: map[string]any{"account.password": "wrong"}})
	record := o.Gateway.AwaitLog("offline")
	if text := fmt.Sprint(record["err"]); !strings.Contains(text, "password") {
		t.Errorf("the log says %q", text)
	}
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("meshgate"))
	bob.Msg(o.Mirror("meshgate"), "who")
	if im := bob.NextIM(); !strings.Contains(im.Text(), "server") {
		t.Errorf("the concierge says %q", im.Text())
	}
}
