package xmppc2s_test

import (
	"encoding/json"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

// A markedJournal says each id up to which the archive is done with.
type markedJournal struct {
	*memJournal
	ids chan string
}

func (j markedJournal) Write(changes []xmppc2s.Change, done func(error)) {
	for _, c := range changes {
		var row struct{ ID string }
		if string(c.Key) == "archive" && json.Unmarshal(c.Value, &row) == nil {
			j.ids <- row.ID
		}
	}
	j.memJournal.Write(changes, done)
}

// await waits for another id than that.
func (j markedJournal) await(t *testing.T, old string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case id := <-j.ids:
			if id != old {
				return id
			}
		case <-limit:
			t.Fatalf("the mark stays at %q", old)
		}
	}
}

// SM-11: a real archive says where it ends, so that who writes much and is written to
// seldom has little to go through.
func TestTheMarkGoesPastWhatIsOursInRealArchives(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		j := markedJournal{newMemJournal(), make(chan string, 100)}
		cfg := account(t, s, "alice", "a")
		cfg.Journal, cfg.CatchUp, cfg.CatchUpMessages = j, time.Hour, 3
		alice, a, _ := start(t, cfg)
		a.await("alice online", isOnline)
		bob, _, _ := start(t, account(t, s, "bob", "b"))
		send(t, bob, chat(s.JID("alice"), "the only one"))
		a.bodies("the only one")
		theirs := j.await(t, "")
		for range 5 {
			send(t, alice, chat(s.JID("bob"), "one of many"))
		}
		j.await(t, theirs)
		a.bodies("the only one")
	})
}
