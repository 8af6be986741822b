package xmppc2s_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// SM-05, SM-13: with the shapers of the servers' own configurations, a burst
// goes through without the connection being given up, in order and once.
func TestABurstGoesThroughASlowServer(t *testing.T) {
	users := map[string]string{"alice": "a", "bob": "b"}
	for name, begin := range map[string]func(*e2e.Host) *e2e.Server{
		"prosody": func(h *e2e.Host) *e2e.Server { return h.Prosody(e2e.ServerOptions{Users: users, Rate: "10kb/s"}) },
		"ejabberd": func(h *e2e.Host) *e2e.Server {
			return h.Ejabberd(e2e.ServerOptions{Users: users, Rate: "3kb/s", Burst: 20000})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e2e.Require(t)
			s := begin(e2e.Local(t))
			cfg := account(t, s, "alice", "a")
			cfg.SM.AckTimeout = 7 * time.Second // less than the server needs for all of it
			alice, ha, _ := start(t, cfg)
			_, hb, _ := start(t, account(t, s, "bob", "b"))
			ha.await("alice online", isOnline)
			hb.await("bob online", isOnline)
			const n = 60
			began := time.Now()
			for i := range n {
				body := fmt.Sprintf("%d %s", i, strings.Repeat("x", 900))
				if err := alice.Send(chat(s.JID("bob")+"/meshgate", body)); err != nil {
					t.Fatal(err)
				}
			}
			hb.awaitAll("everything", func(evs []xmppc2s.Event) bool { return len(numbers(evs)) >= n })
			t.Log(name, time.Since(began), fmt.Sprintf("%+v", alice.Stats().SM))
			for i, got := range numbers(hb.seen()) {
				if got != fmt.Sprint(i) {
					t.Fatalf("message %d is %s", i, got)
				}
			}
			if c := alice.Stats().Connects; c != 1 {
				t.Errorf("%d connections", c)
			}
		})
	}
}

// numbers are the first words of the messages among evs.
func numbers(evs []xmppc2s.Event) []string {
	var list []string
	for _, ev := range evs {
		if m, ok := ev.(xmppc2s.Message); ok {
			first, _, _ := strings.Cut(m.Stanza.Child(stanza.NSClient, "body").Text(), " ")
			list = append(list, first)
		}
	}
	return list
}
