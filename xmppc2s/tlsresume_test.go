package xmppc2s_test

import (
	"testing"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

// ticketsOn lets Prosody resume TLS sessions, which it does not by itself.
const ticketsOn = "c2s_ssl = { options = { no_ticket = false } }\n"

// SM-14: every connection after the first goes on with the TLS session of the
// one before. A server that has restarted knows of none, and that is no obstacle.
func TestTLSSessionsAreResumed(t *testing.T) {
	t.Parallel()
	e2e.Require(t)
	s := e2e.Local(t).Prosody(e2e.ServerOptions{Users: map[string]string{"alice": "a"}, Extra: ticketsOn})
	const cuts = 5
	proxy := s.Host().Proxy(s.LoopbackAddr())
	cfg := account(t, s, "alice", "a")
	cfg.Host, cfg.Port = split(t, proxy.Addr())
	alice, h, _ := start(t, cfg)
	h.await("online", isOnline)
	cut := func(n int) {
		t.Helper()
		// The ticket comes behind the handshake, and this behind the ticket.
		send(t, alice, chat(s.JID("alice"), "x"))
		h.awaitAll("my own message", func(evs []xmppc2s.Event) bool { return len(ids(evs)) >= n })
		proxy.Cut(e2e.RST)
		h.awaitAll("resumption", func(evs []xmppc2s.Event) bool { return resumptions(evs) == n })
	}
	for n := range cuts {
		cut(n + 1)
	}
	if st := alice.Stats(); st.TLSResumed != cuts || st.Connects != cuts+1 {
		t.Errorf("%d connections, on %d of which TLS was resumed; want %d and %d", st.Connects, st.TLSResumed, cuts+1, cuts)
	}
	s.Restart()
	h.awaitAll("a new session", func(evs []xmppc2s.Event) bool { return countFresh(evs) == 2 })
	was := alice.Stats().TLSResumed
	cut(cuts + 1)
	if n := alice.Stats().TLSResumed; n != was+1 {
		t.Errorf("after the restart %d TLS sessions were resumed, want 1", n-was)
	}
}
