package bridge

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// A memPast keeps rows in memory.
type memPast struct {
	rows [numShelves]map[string]memRow
	seq  int
}

type memRow struct {
	value string
	seq   int // the higher the newer
}

func (p *memPast) All(on Shelf) iter.Seq2[[]byte, []byte] {
	keys := slices.SortedFunc(maps.Keys(p.rows[on]), func(a, b string) int { return p.rows[on][a].seq - p.rows[on][b].seq })
	return func(yield func([]byte, []byte) bool) {
		for _, key := range keys {
			if !yield([]byte(key), []byte(p.rows[on][key].value)) {
				return
			}
		}
	}
}

func (p *memPast) Get(on Shelf, key []byte) []byte {
	if r, ok := p.rows[on][string(key)]; ok {
		return []byte(r.value)
	}
	return nil
}

func (p *memPast) Write(changes ...ShelfChange) {
	for _, c := range changes {
		if c.Value == nil {
			delete(p.rows[c.On], string(c.Key))
			continue
		}
		if p.rows[c.On] == nil {
			p.rows[c.On] = make(map[string]memRow)
		}
		p.seq++
		p.rows[c.On][string(c.Key)] = memRow{string(c.Value), p.seq}
	}
}

// clone is what another process finds.
func (p memPast) clone() memPast {
	for on, rows := range p.rows {
		p.rows[on] = maps.Clone(rows)
	}
	return p
}

func (p *memPast) len(on Shelf) int { return len(p.rows[on]) }

// restarted is a rig of the same office that knows what was shelved by r, some
// time after r was killed.
func (r *rig) restarted(cfg Config, after time.Duration) *rig {
	n := &rig{t: r.t, now: r.now.Add(after), names: r.names, counts: r.counts, done: make(map[string]int), past: r.past.clone(), came: r.came, rooms: r.rooms}
	n.e = newEngine(n.now, cfg.withDefaults(), nil)
	n.e.rooms = n.rooms
	(&Hub{past: &n.past}).recall(n.e)
	n.flush()
	n.online(true)
	return n
}

func (r *rig) trail() string { return strings.Join(r.taken(), "\n") }

// SM-11: after a restart the talk goes on: what comes back finds who wrote it,
// words without an address find whom they are for, and what was delivered is
// known.
func TestARestartForgetsNobody(t *testing.T) {
	cfg := office()
	r := newRig(t, cfg)
	r.online(false)
	r.presence("alice@example.org/x", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
	r.peer("carol@h1", linklocal.Presence{})
	r.fromLAN(alice, "bob@h2", "<message type='chat'><body>lost words</body></message>")
	id := r.sent()[0].Attr("id")
	r.fromLAN(alice, "carol@h1", "<message type='chat'><body>x</body></message>")
	r.fromNet("<message from='alice@example.org/x' id='n1' type='chat'><body>@bob delivered</body></message>")
	r.result(nil)

	r = r.restarted(cfg, time.Hour)
	r.presence("alice@example.org/x", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
	r.peer("carol@h1", linklocal.Presence{})
	r.taken()
	r.fromNet("<message from='alice@example.org/x' id='n2' type='chat'><body>to the last one</body></message>")
	if got := r.trail(); !strings.Contains(got, `to bob@h2 from alice@example.org: "to the last one"`) {
		t.Errorf("without an address: %s", got)
	}
	r.result(nil)
	r.taken()
	r.fromNet("<message from='alice@example.org/x' id='n1' type='chat'><body>@bob delivered</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/></message>")
	if got := r.trail(); !strings.Contains(got, "duplicate") || strings.Contains(got, "to bob") {
		t.Errorf("again: %s", got)
	}
	r.srv(xmppc2s.Undelivered{Stanza: r.parse("<message type='chat' id='" + id + "'/>"), Err: xmppc2s.ErrExpired})
	if got := r.trail(); !strings.Contains(got, "to bob@h2") || !strings.Contains(got, "lost words") || !strings.Contains(got, "too long") {
		t.Errorf("expired: %s", got)
	}
	r = r.restarted(cfg, 0) // it was told, and is told once
	r.taken()
	r.srv(xmppc2s.Undelivered{Stanza: r.parse("<message type='chat' id='" + id + "'/>"), Err: xmppc2s.ErrExpired})
	if got := r.trail(); got != "" {
		t.Errorf("told again: %s", got)
	}
}

// Right after a start nobody has been seen yet: what is for a peer with whom
// the contact talks waits for it, and what comes behind waits, too.
func TestEarlyWordsWaitForTheirPeer(t *testing.T) {
	cfg := office()
	r := newRig(t, cfg)
	r.online(false)
	r.presence("alice@example.org/x", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
	r.fromLAN(alice, "bob@h2", "<message type='chat'><body>x</body></message>")
	cfg.Timing.LookAround = 10 * time.Second
	first := r

	for _, comes := range []bool{true, false} {
		r := first.restarted(cfg, 0)
		r.presence("alice@example.org/x", "", "", 0, true)
		r.peer("carol@h1", linklocal.Presence{})
		r.taken()
		r.fromNet("<message from='alice@example.org/x' id='n1' type='chat'><body>one</body></message>")
		r.fromNet("<message from='alice@example.org/x' id='n2' type='chat'><body>@carol two</body></message>")
		r.wait(5 * time.Second)
		if got := r.trail(); strings.Contains(got, "one") || strings.Contains(got, "two") || strings.Contains(got, "finished") {
			t.Errorf("at once: %s", got)
		}
		r.wantBalanced()
		if comes {
			r.peer("bob@h2", linklocal.Presence{})
		} else {
			r.wait(6 * time.Second)
		}
		got := r.trail()
		if one := strings.Contains(got, `to bob@h2 from alice@example.org: "one"`); one != comes {
			t.Errorf("bob comes %v: %s", comes, got)
		}
		if !comes && !strings.Contains(got, "recipient-unavailable to n1") || !strings.Contains(got, `to carol@h1 from alice@example.org: "two"`) {
			t.Errorf("bob comes %v: %s", comes, got)
		}
		for len(r.tokens) > 0 {
			r.result(nil)
		}
		r.wantBalanced()
		if r.done["n1"] != 1 || r.done["n2"] != 1 {
			t.Errorf("finished: %v", r.done)
		}
	}
}

// SM-09, IJ-08: a message comes by itself and from the server's archive, in
// whatever order. Whatever becomes of it, it does so once.
func TestAMessageOfTheArchiveHasOneEnd(t *testing.T) {
	cfg := office()
	cfg.Limits.ContactRate = Rate{PerMinute: 1, Burst: 3}
	r := newRig(t, cfg)
	r.online(false)
	r.peer("bob@h2", linklocal.Presence{})
	r.presence("alice@example.org/x", "", "", 0, true)
	for i, body := range []string{"@bob hello", "@nobody hello", "@help"} {
		for _, missed := range []bool{true, false} {
			st := r.parse(fmt.Sprintf(`<message from='alice@example.org/x' type='chat' id='m%d'><body>%s</body></message>`, i, body))
			r.srv(xmppc2s.Message{Stanza: st, Done: func() {}, ArchiveID: fmt.Sprint("a", i), Missed: missed})
		}
	}
	r.result(nil)
	ended := r.e.stats().FromNetwork.Ended
	if n := ended[Duplicate]; n != 3 || ended[Delivered] != 1 {
		t.Errorf("%d duplicates; ends %v", n, ended)
	}
	r.wantBalanced()
}

// Two people's messages may have one id in the archive: ejabberd's are times.
func TestAnIDOfTheArchiveMayNameTwoMessages(t *testing.T) {
	r := newRig(t, office())
	for _, from := range []string{"alice", "boss", "alice", "boss"} {
		st := r.parse(fmt.Sprintf(`<message from='%s@example.org/x' type='chat' id='m'><body>@nobody hello</body></message>`, from))
		r.srv(xmppc2s.Message{Stanza: st, Done: func() {}, ArchiveID: "a"})
	}
	if ended := r.e.stats().FromNetwork.Ended; ended[Duplicate] != 2 {
		t.Errorf("want each of the first two to count, ends %v", ended)
	}
}

// What was missed comes all at once: the pace of a contact is not measured by it.
func TestWhatWasMissedHasNoPace(t *testing.T) {
	cfg := office()
	cfg.Limits.ContactRate = Rate{PerMinute: 1, Burst: 2}
	r := newRig(t, cfg)
	r.online(false)
	r.peer("bob@h2", linklocal.Presence{})
	r.presence("alice@example.org/x", "", "", 0, true)
	for i := range 20 {
		st := r.parse(fmt.Sprintf(`<message from='alice@example.org/x' id='m%d'><body>@bob hello</body></message>`, i))
		r.srv(xmppc2s.Message{Stanza: st, Done: func() {}, ArchiveID: fmt.Sprint("a", i), Missed: i < 15})
	}
	if n := r.e.stats().FromNetwork.Ended[RefusedRate]; n != 3 {
		t.Errorf("%d of five beyond the pace are refused, want all but two", n)
	}
}
