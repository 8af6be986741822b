package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// onBoth runs a test with each kind of server.
func onBoth(t *testing.T, test func(t *testing.T, ejabberd bool)) {
	for name, ejabberd := range map[string]bool{"Prosody": false, "ejabberd": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, ejabberd)
		})
	}
}

// SM-12, SM-08: a gateway that was killed goes on with its session. To the
// contact it was never away, and what was under way arrives.
func TestAKilledGatewayGoesOnWithItsSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd})
		alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
		bob := o.Host("h2").Purple("bob", PurpleOptions{})
		bob.AwaitOn(o.Mirror("alice"))
		alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")
		alice.Status("away", "at lunch") // COMPAT libpurple: shows "available"
		bob.AwaitStatus(o.Mirror("alice"), "available", "at lunch")
		bob.Msg(o.Mirror("alice"), "before")
		first := alice.AwaitMessage(o.GatewayJID(), "before")
		alice.Msg(first.From, "welcome")
		bob.AwaitIM(o.Mirror("alice"), "welcome")
		was := len(presencesOf(alice, o.GatewayJID()))

		o.Gateway.Kill()
		for i := range 3 {
			alice.Msg(first.From, fmt.Sprintf("meanwhile %d.", i))
		}
		o.Gateway.Start()
		if online := o.Gateway.AwaitLog("online"); online["resumed"] != true || online["jid"] != first.From {
			t.Errorf("the session is another: %v, was %s", online, first.From)
		}
		for i := range 3 {
			bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("meanwhile %d.", i))
		}
		bob.Msg(o.Mirror("alice"), "after")
		if m := alice.AwaitMessage(o.GatewayJID(), "after"); m.From != first.From || m.Thread != first.Thread {
			t.Errorf("the talk goes on from %s in thread %q; it began from %s in %q", m.From, m.Thread, first.From, first.Thread)
		}
		bob.AwaitShown(o.Mirror("alice"), "available", "at lunch") // nobody had to say so again
		alice.Status("", "back")
		bob.AwaitStatus(o.Mirror("alice"), "available", "back")

		o.Host("h2").Purple("carol", PurpleOptions{})
		alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2, carol@h2")
		if seen := presencesOf(alice, o.GatewayJID())[was:]; len(seen) != 1 {
			t.Errorf("alice has seen the restart: %+v", seen)
		}
	})
}

// presencesOf are the presences that came from an address.
func presencesOf(r *Remote, from string) (list []Event) {
	for _, e := range r.Events() {
		if e.Ev == "presence" && strings.HasPrefix(e.From, from) {
			list = append(list, e)
		}
	}
	return list
}

// SM-11, SM-12: what a peer has written while the server was out of reach is
// on the disk, and is sent once by the process that comes after the one that
// was killed; so does an orderly stop leave it.
func TestWhatWaitsOutlivesTheGateway(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd, Gateway: GatewayOptions{Verbose: true}})
		alice, bob, _ := openTalk(o, RemoteOptions{Reconnect: true})
		alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2") // or this would wait, too

		o.Server.Stop()
		o.Gateway.AwaitLog("offline")
		o.Gateway.Forget()
		const count = 3
		before := waiting(o.Gateway) // a presence may, that was sent when the server stopped
		for i := range count {
			bob.Msg(o.Mirror("alice"), fmt.Sprintf("meanwhile %d.", i))
		}
		awaitWaiting(o.Gateway, "kept", before+count)
		o.Gateway.Kill()
		o.Gateway.Start()
		awaitWaiting(o.Gateway, "taking up what the last run has left", count)
		o.Gateway.Stop()
		// COMPAT ejabberd 23.01: what comes in the moment in which a client logs
		// in may be kept until it logs in again; so alice is there first.
		o.Server.Start()
		alice.AwaitSession()
		o.Gateway.Start()
		awaitWaiting(o.Gateway, "taking up what the last run has left", count)
		for i := range count {
			if m := alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("meanwhile %d.", i)); !m.Delayed || m.ID == "" {
				t.Errorf("message %d is not delayed, or has no id: %s", i, m.XML)
			}
		}
		alice.Msg(o.GatewayJID(), "welcome back")
		bob.AwaitIM(o.Mirror("alice"), "welcome back")
		for i := range count {
			if n := countBodies(alice, fmt.Sprintf("meanwhile %d.", i)); n != 1 {
				t.Errorf("message %d came %d times", i, n)
			}
		}
	})
}

// awaitWaiting waits for a record that so much or more waits on the disk.
func awaitWaiting(g *Gateway, msg string, count int) {
	g.tb.Helper()
	_, err := g.await(Patience, fmt.Sprintf("%q: %d", msg, count), func(text string) bool {
		r := parseWaiting(text)
		return r.Msg == msg && r.Waiting >= count
	})
	if err != nil {
		g.tb.Fatalf("e2e: %v", err)
	}
}

// waiting is how much waits on the disk, by the last record of it.
func waiting(g *Gateway) (n int) {
	for _, text := range g.Lines() {
		if r := parseWaiting(text); r.Msg == "kept" {
			n = r.Waiting
		}
	}
	return n
}

// A waitingRecord says how much waits on the disk.
type waitingRecord struct {
	Msg     string
	Waiting int
}

// parseWaiting reads one; the zero value: it is no record at all.
func parseWaiting(text string) (r waitingRecord) {
	_ = json.Unmarshal([]byte(text), &r)
	return r
}

// openTraffic opens an office without limits in which the two talk: alice with
// the gateway at the address to.
func openTraffic(t *testing.T, ejabberd bool) (o *Office, alice *Remote, bob *Purple, to string) {
	o = OpenOffice(t, OfficeOptions{Ejabberd: ejabberd, Gateway: GatewayOptions{Verbose: true}, Config: NoLimits()})
	alice, bob, first := openTalk(o, RemoteOptions{})
	return o, alice, bob, first.From
}

// openTalk has alice, far away, and bob on the LAN come, and bob say "before" to
// her: that is first, as she gets it.
func openTalk(o *Office, opt RemoteOptions) (alice *Remote, bob *Purple, first Event) {
	alice = o.Host("h1").Remote(o.Server, "alice", opt)
	bob = o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	bob.Msg(o.Mirror("alice"), "before")
	return alice, bob, alice.AwaitMessage(o.GatewayJID(), "before")
}

// SM-12: numbered messages in both directions, and the gateway killed among
// them again and again.
func TestNothingIsLostOrDoubledByKills(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o, alice, bob, to := openTraffic(t, ejabberd)
		const kills, each = 6, 20
		down, up := 0, 0
		for k := range kills {
			if k%3 == 2 { // nothing is on its way: the server keeps what comes
				o.Gateway.Kill()
			}
			for range each {
				alice.Msg(to, fmt.Sprintf("down %d.", down))
				down++
			}
			switch k % 3 {
			case 0: // all is done, if what came behind it is
				id := fmt.Sprintf("last %d", k)
				alice.SendMessage(Message{To: to, Body: id, ID: id, RequestReceipt: true})
				alice.AwaitReceipt(id)
				o.Gateway.Kill()
			case 1: // at any moment
				bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", down-1-rand.IntN(each)))
				o.Gateway.Kill()
			}
			o.Gateway.Start()
			alice.Msg(to, fmt.Sprintf("down %d.", down))
			bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", down))
			down++
			// What a peer has said to a gateway that dies before it has read it is
			// lost, in XEP-0174; so the next kill waits until they have arrived.
			for range each {
				bob.Msg(o.Mirror("alice"), fmt.Sprintf("up %d.", up))
				up++
			}
			alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("up %d.", up-1))
		}
		var got []string
		for _, m := range bob.IMs() {
			got = append(got, m.Text())
		}
		// COMPAT ejabberd 23.01: what waited while the receiver was away it
		// sends behind what came after.
		judgeNumbers(t, "from the network", "down", down, got, !ejabberd)
		got = nil
		for _, m := range alice.Messages() {
			got = append(got, m.Body)
		}
		judgeNumbers(t, "from the LAN", "up", up, got, true)
	})
}

// judgeNumbers checks that each number came once, and in order if that is
// wanted.
func judgeNumbers(t *testing.T, way, word string, n int, texts []string, ordered bool) {
	t.Helper()
	counts, next, disorder := make([]int, n), 0, 0
	for _, text := range texts {
		var i int
		at := strings.Index(text, word+" ")
		if at < 0 {
			continue
		}
		if _, err := fmt.Sscanf(text[at:], word+" %d.", &i); err != nil || i < 0 || i >= n {
			continue
		}
		counts[i]++
		if i != next {
			disorder++
		}
		next = i + 1
	}
	lost, doubled := 0, 0
	for _, c := range counts {
		if c == 0 {
			lost++
		} else {
			doubled += c - 1
		}
	}
	t.Logf("%s: %d sent, %d lost, %d doubled, %d out of order", way, n, lost, doubled, disorder)
	if lost > 0 || doubled > 0 || ordered && disorder > 0 {
		t.Errorf("%s: %v", way, counts)
	}
}
