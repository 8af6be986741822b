package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// throughProxy is an office whose gateway reaches its server through a proxy.
func throughProxy(t *testing.T, opt OfficeOptions) (*Office, *Proxy) {
	t.Helper()
	var proxy *Proxy
	opt.Through = func(s *Server) string {
		proxy = s.Host().Proxy(s.LoopbackAddr())
		return proxy.Addr()
	}
	return OpenOffice(t, opt), proxy
}

// swallow has the proxy take everything and pass nothing on, as a link does that
// is dead and does not say so.
func (p *Proxy) swallow(on bool) {
	for _, d := range []Direction{Up, Down} {
		if on {
			p.Stall(d)
		} else {
			p.Resume(d)
		}
	}
}

// SM-13: a link that dies without a word is noticed when what was sent stays
// unacknowledged, and at once if the machine's network is another. The session
// goes on, and what was written meanwhile arrives once.
func TestADeadLinkIsNoticedWithinSeconds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit  time.Duration
		happen func(o *Office, bob *Purple)
	}{
		"something is sent": {24 * time.Second, func(*Office, *Purple) {}},
		"the network is another": {8 * time.Second, func(o *Office, _ *Purple) {
			o.Host("h1").Output("ip", "addr", "add", "198.51.100.7/24", "dev", "eth0")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, proxy := throughProxy(t, OfficeOptions{})
			alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
			bob := o.Host("h2").Purple("bob", PurpleOptions{})
			bob.AwaitOn(o.Mirror("alice"))
			bob.Msg(o.Mirror("alice"), "before")
			alice.AwaitMessage(o.GatewayJID(), "before")

			proxy.swallow(true)
			begun := time.Now()
			bob.Msg(o.Mirror("alice"), "into the void")
			tc.happen(o, bob)
			off := o.Gateway.AwaitLog("offline")
			if took := time.Since(begun); took > tc.limit {
				t.Errorf("noticed after %v, want %v at most: %v", took, tc.limit, off)
			} else {
				t.Logf("noticed after %v: %v", took, off["err"])
			}
			proxy.swallow(false)
			proxy.Cut(RST) // attempts that hang in it
			o.Gateway.AwaitLog("online", "resumed", "true")
			alice.AwaitMessage(o.GatewayJID(), "into the void")
			bob.Msg(o.Mirror("alice"), "after")
			alice.AwaitMessage(o.GatewayJID(), "after")
			if n := countBodies(alice, "into the void"); n != 1 {
				t.Errorf("it came %d times", n)
			}
		})
	}
}

// SM-11: Prosody ends the stream at a message that is too long for it. That
// message is left out and its writer told; the others arrive once. Without stream
// management nobody knows which of them had arrived: some may come again, under
// the same id.
func TestAMessageThatTheServerRefusesIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, noSM := range map[string]bool{"with stream management": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := OpenOffice(t, OfficeOptions{
				Config: map[string]any{"limits.body": 40000},
				Server: func(s *ServerOptions) { s.NoSM, s.Extra = noSM, "c2s_stanza_size_limit = 10000\n" },
			})
			alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
			bob := o.Host("h2").Purple("bob", PurpleOptions{})
			carol := o.Host("h2").Purple("carol", PurpleOptions{})
			for _, p := range []*Purple{bob, carol} {
				p.AwaitOn(o.Mirror("alice"))
				p.Msg(o.Mirror("alice"), p.User+" begins")
				alice.AwaitMessage(o.GatewayJID(), p.User+" begins")
			}
			const count = 6
			for i := range count {
				carol.Msg(o.Mirror("alice"), fmt.Sprintf("carol's %d.", i))
				if i == count/2 {
					bob.Msg(o.Mirror("alice"), "too long "+strings.Repeat("x", 12000))
				}
				bob.Msg(o.Mirror("alice"), fmt.Sprintf("bob's %d.", i))
			}
			bob.Expect(`not delivered: “too long`)
			for i := range count {
				for _, words := range []string{fmt.Sprintf("carol's %d.", i), fmt.Sprintf("bob's %d.", i)} {
					id := alice.AwaitMessage(o.GatewayJID(), words).ID
					if n := countBodies(alice, words); n != 1 && !noSM || n != countID(alice, id) {
						t.Errorf("%q came %d times, %d of them with the same id", words, n, countID(alice, id))
					}
				}
			}
			o.Gateway.AwaitLog("a message is left out")
			carol.Refute("not delivered")
			if n := countBodies(alice, "too long"); n != 0 {
				t.Errorf("it came %d times", n)
			}
		})
	}
}

func countID(r *Remote, id string) (n int) {
	for _, m := range r.Messages() {
		if m.ID == id {
			n++
		}
	}
	return n
}
