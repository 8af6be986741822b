package xmppc2s_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
)

// SM-05, SM-13: with the shapers of the servers' own configurations a burst
// goes through without the connection being given up, in order and once, and
// what a person says meanwhile does not wait for it.
func TestABurstGoesThroughASlowServer(t *testing.T) {
	t.Parallel()
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
			cfg.StopTimeout = e2e.Patience
			alice, ha, stop := start(t, cfg)
			_, hb, _ := start(t, account(t, s, "bob", "b"))
			ha.await("alice online", isOnline)
			hb.await("bob online", isOnline)
			bob := s.JID("bob") + "/meshgate"
			send := func(st *stanza.Element) {
				t.Helper()
				if err := alice.Send(st); err != nil {
					t.Fatal(err)
				}
			}
			for range 6 {
				send(picture(bob, 5000))
			}
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint(i))
				send(chat(bob, strings.Repeat("x", 900)).WithAttr("id", want[i]))
			}
			hb.awaitIDs(want...)
			said := time.Now()
			send(chat(bob, "a line of chat").WithAttr("id", "line"))
			hb.awaitIDs(append(want, "line")...)
			if took, left := time.Since(said), alice.Stats().Queued; took > 6*time.Second || left == 0 {
				t.Errorf("the line took %v, with %d stanzas left behind it", took, left)
			}
			stop() // when all is acknowledged
			if st := alice.Stats(); st.Connects != 1 || st.Queued > 0 || st.SM.Resent > 0 {
				t.Errorf("%d connections, %d stanzas left, %d sent again", st.Connects, st.Queued, st.SM.Resent)
			}
			hb.awaitIDs(append(want, "line")...)
		})
	}
}

// picture is an iq of so many bytes: it may wait for what is said.
func picture(to string, size int) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "to", Value: to}, stanza.Attr{Name: "id", Value: "p"}, stanza.Attr{Name: "type", Value: "result"},
		stanza.New(stanza.NSVCard, "vCard", stanza.Text(strings.Repeat("x", size))))
}
