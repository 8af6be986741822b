package xmppc2s_test

import (
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

// Two clients that want the same address: the one that was there first gives
// way, and says why. The other goes on, also where its connection breaks and the
// server ends what is left of it with conflict. Then the first may come back.
func TestTwoClientsWithOneAddressDoNotFight(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		_, first, _ := start(t, account(t, s, "alice", "a"))
		first.await("online", isOnline)
		proxy := s.Host().Proxy(s.LoopbackAddr())
		cfg := account(t, s, "alice", "a")
		cfg.Host, cfg.Port = split(t, proxy.Addr())
		cfg.SM.ProbeTimeout = 100 * time.Millisecond
		second, other, _ := start(t, cfg)
		other.await("online", isOnline)
		wantOffline(t, first, xmppc2s.Conflict, true, "another client", "meshgate")

		proxy.Stall(e2e.Up) // a dead link: the server keeps the old connection
		second.NetworkChanged()
		other.await("offline", isOffline)
		proxy.Resume(e2e.Up)
		other.awaitAll("resumption", func(evs []xmppc2s.Event) bool { return resumptions(evs) == 1 })
		send(t, second, chat(s.JID("alice")+"/meshgate", "x").WithAttr("id", "still here"))
		other.awaitIDs("still here")
		for _, ev := range other.seen() {
			if off, ok := ev.(xmppc2s.Offline); ok && off.Fatal {
				t.Errorf("offline because of %v", off.Err)
			}
		}
		if n := len(first.seen()); countFresh(first.seen()) != 1 {
			t.Errorf("the first one is back, after %d events", n)
		}
	})
}

// Whoever has taken our place may be gone, and we may know it: then nothing is
// waited for.
func TestConflictThatIsOver(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff.Fatal = time.Hour
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	conn.send("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
	wantOffline(t, h, xmppc2s.Conflict, true)
	c.NetworkChanged() // which has nothing to do with it
	s.quiet()
	c.ConflictOver()
	s.accept()
}
