package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// DS-19: on the LAN nobody needs an account or the address of the service.
func TestSomebodyOnTheLANSendsAndReceives(t *testing.T) {
	x := newExchange(t)
	bob := x.start(nil, args("receive -lan -as bob -from alice@example.org -")...)
	bob.says(t, "waiting for an invitation to bob@h2\n")
	x.start(strings.NewReader("to the LAN"), args("send -account alice@example.org -service "+streamService, "-", "bob@h2")...).ends(t, exitOK)
	if got := bob.ends(t, exitOK).stdout.String(); got != "to the LAN" {
		t.Errorf("bob got %q", got)
	}
	alice := x.start(nil, args("receive -account alice@example.org -")...)
	alice.says(t, "waiting for")
	x.start(strings.NewReader("from the LAN"), args("send -lan -as bob", "-", "alice@example.org")...).ends(t, exitOK)
	if got := alice.ends(t, exitOK).stdout.String(); got != "from the LAN" {
		t.Errorf("alice got %q", got)
	}
}

// DS-12: whoever asks about a stream while another command has its address has that
// one ask, on either side; nobody is thrown out.
func TestOneCommandAsksByAnother(t *testing.T) {
	x := newExchange(t)
	for who, name := range map[string]string{"-account alice@example.org": "alice@example.org/stream-", "-lan -as alice": "alice@h2"} {
		bob := x.start(nil, args("receive -account bob@example.org -")...)
		bob.says(t, "waiting for")
		in, out := io.Pipe()
		sender := x.start(in, args("send "+who+" -service "+streamService, "-", "bob@example.org")...)
		stream := sender.says(t, "the stream is ")
		sender.says(t, "bob@example.org/stream is ready")
		list := x.start(nil, args("who "+who, stream)...).ends(t, exitOK).stdout.String()
		if !strings.Contains(list, name) || strings.Count(list, " connected\n") != 2 {
			t.Errorf("%s: who: %s", who, list)
		}
		if s := x.start(nil, args("stats "+who, stream)...).ends(t, exitOK).stdout.String(); !strings.Contains(s, "masters   1\n") {
			t.Errorf("%s: stats: %s", who, s)
		}
		invited := x.start(nil, args("invite "+who, stream, "carol@example.org")...).ends(t, exitFailed)
		if s := invited.stdout.String(); s != "carol@example.org/stream declines, or is not there\n" {
			t.Errorf("%s: invite: %s", who, s)
		}
		c := x.start(strings.NewReader(""), args("send "+who+" -stream "+stream, "-")...).ends(t, exitFailed)
		if !strings.Contains(c.stderr.String(), "another meshgate stream is on that stream now") {
			t.Errorf("%s: %s", who, &c.stderr)
		}
		out.Close()
		sender.ends(t, exitOK)
		bob.ends(t, exitOK)
		x.nobodyCame()
	}
}

func TestTwoDoNotWaitAtOneAddress(t *testing.T) {
	x := newExchange(t)
	first := x.start(nil, args("receive -account bob@example.org -")...)
	first.says(t, "waiting for")
	second := x.start(nil, args("receive -account bob@example.org -")...).ends(t, exitFailed)
	if !strings.Contains(second.stderr.String(), "-account bob@example.org/here") {
		t.Errorf("%s", &second.stderr)
	}
	third := x.start(nil, args("receive -account bob@example.org/here -")...)
	third.says(t, "waiting for")
	for _, c := range []*call{first, third} {
		c.signals <- os.Interrupt
		c.ends(t, exitFailed)
	}
}

// A clerk asks nothing for strangers, and nothing else than it should.
func TestAClerkServesItsOwnOnly(t *testing.T) {
	var sent []*stanza.Element
	c := clerk{
		send: func(iq *stanza.Element) error { sent = append(sent, iq); return nil },
		kin:  func(j dsps.JID) bool { return j.Bare() == "alice@example.org" },
	}
	ask := func(from, what string) bool {
		iq := dsps.IQ{Kind: "get", ID: "1", From: dsps.JID(from), To: "s@example.org/x", Queries: []dsps.Query{dsps.Who{}}}.Element()
		iq.Nodes[0].Element = iq.Nodes[0].Element.WithAttr("type", what)
		return c.handle(around(iq, "alice@example.org/desk", "s@example.org/x"))
	}
	for from, whats := range map[string][]string{"mallory@example.org/x": {"who"}, "alice@example.org/x": {"auth", "create", "acknowledge"}} {
		for _, what := range whats {
			if ask(from, what) || len(sent) > 0 {
				t.Errorf("%s: %s was asked: %v", from, what, sent)
			}
		}
	}
	for range maxForwarded + 1 { // as if the service had passed over them
		if !ask("alice@example.org/x", "who") {
			t.Fatal("who was not asked")
		}
	}
	if len(c.asked) != maxForwarded {
		t.Errorf("%d may still be answered, want %d", len(c.asked), maxForwarded)
	}
	id := c.asked[0].id
	answer := dsps.IQ{Kind: "result", ID: id, From: "mallory@example.org/x", Queries: []dsps.Query{dsps.WhoList{}}}.Element()
	if c.handle(answer) {
		t.Error("somebody else has answered")
	}
	sent = nil
	if !c.handle(answer.WithAttr("from", "s@example.org/x")) || len(sent) != 1 {
		t.Fatalf("the answer was not passed on: %v", sent)
	}
	if ask("alice@example.org/x", "admin"); len(sent) != 2 {
		t.Fatal("admin was not asked")
	}
	answer = answer.WithAttr("id", sent[1].Attr("id")).WithAttr("from", "s@example.org/x")
	if !c.handle(answer) || c.handle(answer) || len(sent) != 4 {
		t.Error("what is said later of those invited is not passed on, or not told to us, too")
	}
	by := intermediary{"alice@example.org/desk", "s@example.org/x"}
	got := by.unwrap(sent[0].WithAttr("from", "alice@example.org/desk"))
	if got.Attr("id") != "1" || got.Attr("from") != "s@example.org/x" || got.Child(dsps.NS, "query").Attr("type") != "who" {
		t.Errorf("it reads %s", got)
	}
}

func TestHandleSurvivesTheCommandLine(t *testing.T) {
	for _, h := range []handle{
		{"gw@example.org/meshgate", "stream-7XQ2", "gw.example.org:5290"},
		{"meshgate@gw/a,b=c", "bob-stream@h2", "[fe80::1]:5290"},
		{"dsps.example.org/x", "", ""},
	} {
		got, err := parseHandle(h.String())
		if diff := cmp.Diff(h, got, cmp.AllowUnexported(handle{})); diff != "" || err != nil {
			t.Errorf("%s: %v %s", h, err, diff)
		}
	}
	for _, bad := range []string{"", ",as=x", "/x"} {
		if _, err := parseHandle(bad); err == nil {
			t.Errorf("%q is a stream", bad)
		}
	}
}

func TestNamesOfTheLANAreKnown(t *testing.T) {
	for name, want := range map[string]bool{
		"bob@h2": true, "Bob Smith@laptop": true, "bob@example.org": false, "bob@office": false, "bob@h2/x": false, "bob": false,
	} {
		if got := onLAN(name, "office"); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	x := newExchange(t)
	s := &streamSession{mesh: fakePresence{x.enter("bob@h2")}}
	r := &streamRun{o: &streamOptions{lan: true, args: []string{"-", "wjt@bael", "dan@h9", "alice@gw", "carol@gw", "carol@example.org", "carol@gw/phone"}}}
	got, err := r.receivers(t.Context(), s, "meshgate@gw/x")
	want := []dsps.JID{"wjt@bael", "dan@h9", "alice@gw/stream", "carol@gw/stream", "carol@example.org/stream", "carol@gw/phone"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
