package e2e

import (
	"fmt"
	"testing"
)

// openWithArchive is an office whose server keeps a lost session for three
// seconds and so many stanzas, and whose gateway reaches it through a proxy.
// Alice and Bob are in talk.
func openWithArchive(t *testing.T, ejabberd bool, queue int) (o *Office, proxy *Proxy, alice *Remote, bob *Purple) {
	o = OpenOffice(t, OfficeOptions{
		Ejabberd: ejabberd, Gateway: GatewayOptions{Verbose: true},
		Server:  func(s *ServerOptions) { s.Hibernation, s.MaxQueue = 3, queue },
		Through: func(s *Server) string { proxy = s.Host().Proxy(s.LoopbackAddr()); return proxy.Addr() },
	})
	alice, bob, _ = openTalk(o, RemoteOptions{Reconnect: true})
	alice.Msg(o.GatewayJID(), "welcome")
	bob.AwaitIM(o.Mirror("alice"), "welcome")
	alice.Forget() // that the gateway was not there at first
	return o, proxy, alice, bob
}

// judgeDown has alice say one more than the count messages that say "down N.",
// and checks that bob has got all of them once and in order.
func judgeDown(t *testing.T, o *Office, alice *Remote, bob *Purple, count int) {
	t.Helper()
	alice.Msg(o.GatewayJID(), fmt.Sprintf("down %d.", count))
	bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", count))
	var got []string
	for _, m := range bob.IMs() {
		got = append(got, m.Text())
	}
	judgeNumbers(t, "from the network", "down", count+1, got, true)
}

// SM-09, SM-11: the gateway is cut off for longer than the server keeps its
// session, and the server's queue is too short for what is written meanwhile.
// The archive has it: it arrives once, and in order.
func TestWhatTheServerForgotIsFetchedFromItsArchive(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		queue := 5
		if ejabberd {
			queue = 10 // it ends a session for that even while it is used
		}
		o, proxy, alice, bob := openWithArchive(t, ejabberd, queue)
		const count = 25
		proxy.Refuse(true)
		proxy.Cut(RST)
		o.Gateway.AwaitLog("offline")
		for i := range count {
			if i == count-5 {
				alice.AwaitPresence(o.GatewayJID(), "unavailable") // the session is gone
			}
			alice.Msg(o.GatewayJID(), fmt.Sprintf("down %d.", i))
		}
		proxy.Refuse(false)
		o.Gateway.AwaitLog("fetched from the archive what came while there was no session")
		bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", count-1))
		judgeDown(t, o, alice, bob, count)
	})
}

// SM-09, SM-11: the gateway is killed, and then its server, and with that the session
// and what waited in it. What the archive has on the disk arrives once.
func TestWhatAKilledServerForgotIsFetchedFromItsArchive(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd, Gateway: GatewayOptions{Verbose: true}})
		alice, bob, first := openTalk(o, RemoteOptions{Reconnect: true})
		const count = 20
		for i := range count {
			if i == count/2 {
				bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", i-1))
				o.Gateway.Kill()
			}
			alice.SendMessage(Message{To: first.From, Body: fmt.Sprintf("down %d.", i), ID: fmt.Sprintf("d%d", i)})
		}
		alice.Msg(alice.JID, "all are there")
		alice.AwaitMessage(alice.JID, "all are there")
		if ejabberd {
			// COMPAT ejabberd 23.01: what was written to a Mnesia archive in the
			// last moments before a kill is lost, and so is what waits offline.
			o.Server.Stop()
		} else {
			o.Server.Kill()
		}
		o.Server.Start()
		alice.AwaitSession()
		o.Gateway.Start()
		o.Gateway.AwaitLog("fetched from the archive what came while there was no session")
		bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", count-1))
		judgeDown(t, o, alice, bob, count)
	})
}

// SM-09, SM-12: the gateway is killed while it catches up, twice. The next
// process goes on where it was.
func TestAGatewayThatIsKilledWhileItCatchesUpGoesOn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o, proxy, alice, bob := openWithArchive(t, ejabberd, 500)
		const count = 120
		proxy.Refuse(true)
		proxy.Cut(RST)
		o.Gateway.AwaitLog("offline")
		alice.AwaitPresence(o.GatewayJID(), "unavailable")
		for i := range count {
			alice.Msg(o.GatewayJID(), fmt.Sprintf("down %d.", i))
		}
		alice.Msg(alice.JID, "all are there")
		alice.AwaitMessage(alice.JID, "all are there")
		proxy.Refuse(false)
		for _, i := range []int{20, 70} {
			bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.", i))
			o.Gateway.Kill()
			o.Gateway.Start()
		}
		judgeDown(t, o, alice, bob, count)
	})
}
