package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// twoUsers are friends from the start; mallory knows nobody.
func twoUsers() ServerOptions {
	return ServerOptions{
		Users:   map[string]string{"alice": "a secret", "bob": "b's \"secret\"", "mallory": "m"},
		Friends: [][2]string{{"alice", "bob"}},
	}
}

func TestForeignClientsTalkThroughProsody(t *testing.T) {
	t.Parallel()
	lab := New(t, 3)
	talk(t, lab, lab.Host("h1").Prosody(twoUsers()))
}

// talk has two slixmpp clients on other hosts than the server's use all of
// what the lab promises of a server.
func talk(t *testing.T, lab *Lab, s *Server) {
	h1, h2, h3 := lab.Host("h1"), lab.Host("h2"), lab.Host("h3")
	alice := h2.StartRemote(s, "alice", RemoteOptions{Resource: "desk", SM: true})
	bob := h3.StartRemote(s, "bob", RemoteOptions{DirectTLS: true, Carbons: true})
	mallory := h1.StartRemote(s, "mallory", RemoteOptions{Addr: s.LoopbackAddr(), NoApprove: true})
	alice.AwaitSession()
	bob.AwaitSession()
	mallory.AwaitSession()
	if alice.FullJID != "alice@example.org/desk" {
		t.Errorf("bound %s", alice.FullJID)
	}

	alice.AwaitPresence(bob.JID, "") // the subscription was there from the start
	bob.AwaitPresence(alice.JID, "")
	alice.Status("dnd", "busy & <away>")
	bob.AwaitStatus(alice.JID, "dnd", "busy & <away>")

	alice.SendMessage(Message{To: bob.JID, Body: "1 < 2 & 'so' on\nünïcödé", ID: "m1", Thread: "t1", RequestReceipt: true})
	if e := bob.AwaitMessage(alice.JID, "ünïcödé"); e.Body != "1 < 2 & 'so' on\nünïcödé" || e.ID != "m1" || e.Thread != "t1" {
		t.Errorf("bob got %+v", e)
	}
	alice.AwaitReceipt("m1")

	alice.SendMessage(Message{To: "nobody@" + Domain, Body: "anybody?", ID: "m2"})
	if e := alice.AwaitError("m2"); e.Error != "service-unavailable" {
		t.Errorf("error %q", e.Error)
	}

	mallory.Subscribe(bob.JID)
	mallory.AwaitPresence(bob.JID, "subscribed")
	mallory.AwaitPresence(bob.FullJID, "")

	room := s.Room("lounge")
	alice.Join(room, "Alice")
	bob.Join(room, "Bob")
	alice.AwaitPresence(room+"/Bob", "")
	bob.Say(room, "hello, room")
	alice.AwaitMessage(room+"/Bob", "hello, room")
	bob.Leave(room, "Bob")
	alice.AwaitPresence(room+"/Bob", "unavailable")

	bob.Quit()
	alice.AwaitPresence(bob.JID, "unavailable")
	alice.Msg(bob.JID, "for later")
	alice.Msg(alice.FullJID, "the server has read this far")
	alice.AwaitMessage(alice.JID, "this far")
	s.Restart()
	bob = h3.Remote(s, "bob", RemoteOptions{Reconnect: true})
	if e := bob.AwaitMessage(alice.JID, "for later"); !e.Delayed {
		t.Error("a stored message does not say that it is late")
	}
	if n := len(bob.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
	s.Kill()
	bob.Await("the end of the connection", func(e Event) bool { return e.Ev == "disconnected" })
	s.Start()
	bob.AwaitSession()
}

func TestServersOnThisMachineLiveSideBySide(t *testing.T) {
	t.Parallel()
	opt := ServerOptions{Users: map[string]string{"alice": "a"}, ResumeFix: true, NoDelay: true, Hibernation: 60, MaxQueue: 50, Rate: "1mb/s"}
	servers := []*Server{Local(t).Prosody(opt), Local(t).Prosody(opt), Local(t).Ejabberd(opt), Local(t).Ejabberd(opt)}
	addrs := make(map[string]bool)
	for _, s := range servers {
		addrs[s.Addr()], addrs[s.DirectTLSAddr()] = true, true
		alice := s.Host().Remote(s, "alice", RemoteOptions{SM: true})
		alice.Msg(alice.FullJID, "to myself")
		alice.AwaitMessage(alice.JID, "to myself")
		alice.Quit()
	}
	if len(addrs) != 2*len(servers) {
		t.Errorf("addresses %v", addrs)
	}
	for _, s := range servers {
		if code := s.Stop(); code != 0 {
			t.Errorf("%s: exit status %d", s.Kind, code)
		}
	}
}

func TestFriendsAreMutual(t *testing.T) {
	opt := ServerOptions{Friends: [][2]string{{"a", "b"}, {"c", "a"}, {"b", "a"}}}
	if got := opt.friendsOf("a"); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("friends of a: %v", got)
	}
}

func TestForeignClientsTalkThroughEjabberd(t *testing.T) {
	t.Parallel()
	lab := New(t, 3)
	talk(t, lab, lab.Host("h1").Ejabberd(twoUsers()))
}

func TestStreamManagementIsOfferedUnlessSwitchedOff(t *testing.T) {
	t.Parallel()
	users := map[string]string{"alice": "a"}
	for _, noSM := range []bool{false, true} {
		opt := ServerOptions{Users: users, NoSM: noSM}
		for _, s := range []*Server{Local(t).Prosody(opt), Local(t).Ejabberd(opt)} {
			features := featuresOf(t, s, "alice")
			if got := strings.Contains(features, "urn:xmpp:sm:3"); got == noSM {
				t.Errorf("%s, switched off: %v: features %s", s.Kind, noSM, features)
			}
		}
	}
}

// featuresOf logs in with PLAIN and returns the stream features that follow.
func featuresOf(t *testing.T, s *Server, user string) string {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	raw, err := s.Host().Dial(t.Context(), "tcp", s.DirectTLSAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: Domain, NextProtos: []string{"xmpp-client"}})
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='` + Domain + `'>`
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + s.opt.Users[user]))
	ask := func(what, until string) string {
		write(t, c, what)
		var got strings.Builder
		for b := make([]byte, 4096); !strings.Contains(got.String(), until); {
			n, err := c.Read(b)
			if err != nil {
				t.Fatalf("%s: waiting for %s: %v: %s", s.Kind, until, err, got.String())
			}
			got.Write(b[:n])
		}
		return got.String()
	}
	ask(header, "</stream:features>")
	ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "<success")
	return ask(header, "</stream:features>")
}
