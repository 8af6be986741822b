package bridge

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// Everything that others can make grow has an end.
func TestNothingGrowsWithoutBound(t *testing.T) {
	cfg := office()
	cfg.Peers = []string{"*"}
	cfg.Limits = Limits{Peers: 10, Conversations: 7, PendingToLAN: 5, Resources: 3, ContactRate: Rate{PerMinute: 1e6, Burst: 1e6}, PeerRate: Rate{PerMinute: 1e6, Burst: 1e6}}
	r := newRig(t, cfg)
	r.online(false)
	for i := range 200 {
		r.peer(linklocal.Instance(fmt.Sprintf("p%d@h", i)), linklocal.Presence{})
		r.fromLAN(alice, linklocal.Instance(fmt.Sprintf("q%d@h", i)), `<message><body>hi</body></message>`)
		r.presence(fmt.Sprintf("alice@example.org/%d", i), "", "", 0, true)
		r.fromNet(fmt.Sprintf(`<message from='alice@example.org/x' id='%d'><body>@p%d hi</body></message>`, i, i%10))
		r.wait(time.Millisecond)
	}
	e := r.e
	for what, n := range map[string][2]int{
		"peers": {len(e.peers.m), 10}, "talks": {len(e.talks.m), 7}, "threads": {len(e.talks.byThread), 7},
		"pending": {len(e.pending), 5}, "recent rows": {e.book.recent.Len(), maxRecent}, "coming": {len(e.book.coming), 5}, "archive": {e.book.archive.Len(), maxRecent},
		"resources":    {len(e.mirrors.byBare["alice@example.org"].resources), 3},
		"peer buckets": {e.peerRate.Len(), 10}, "held": {len(e.held), 5}, "early": {len(e.early), 5},
		"remark buckets": {e.remarks.Len(), 2 * 13},
	} {
		if n[0] > n[1] {
			t.Errorf("%s: %d, want at most %d", what, n[0], n[1])
		}
	}
	if e.stats().PeersIgnored == 0 || e.stats().FromNetwork.Ended[RefusedFull] == 0 {
		t.Errorf("the limits were not reached: %+v", e.stats())
	}
	r.wantBalanced()
	// a full table of buckets empties by itself
	r.wait(time.Hour)
	r.actions = nil
	r.fromLAN(alice, "new@h", `<message><body>hi</body></message>`)
	if len(r.sent()) != 1 {
		t.Error("a new peer is not let in after an hour of rest")
	}
}

func TestThoseWhoWaitInAnOutageAreBounded(t *testing.T) {
	cfg := office()
	cfg.Peers = []string{"*"}
	cfg.Limits.Conversations = 3
	r := newRig(t, cfg)
	for i := range 20 {
		r.fromLAN(alice, linklocal.Instance(fmt.Sprintf("p%d@h", i)), `<message><body>hi</body></message>`)
		if n := len(r.e.outage.waiting); n > 3 {
			t.Fatalf("%d wait, want at most 3", n)
		}
	}
	r.wait(time.Minute)
	told := 0
	for _, a := range r.actions {
		if _, ok := a.(toLAN); ok {
			told++
		}
	}
	if told != 20 {
		t.Errorf("%d of 20 were told that they wait", told)
	}
}

func TestTooLongIsToldOnBothSides(t *testing.T) {
	r := ready(t)
	long := strings.Repeat("ä", 4097)
	r.fromLAN(alice, "bob@h2", "<message><body>"+long+"</body></message>")
	r.fromNet("<message from='alice@example.org/phone' id='1'><body>" + long + "</body></message>")
	want := []string{
		`to bob@h2 from alice@example.org: "[meshgate] not sent: the message is too long (8194 bytes, at most 8192)"`,
		`= from LAN: refused-length`,
		`to alice@example.org/phone: error not-acceptable to 1: not sent: the message is too long (8194 bytes, at most 8192)`,
		`= from network: refused-length`,
		`finished`,
	}
	if got := r.taken(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// Of what waits for the server the hub keeps at most 100 bytes for each
// message in memory.
func TestWhatWaitsCostsLittleMemory(t *testing.T) {
	const count = 100000
	cfg := office()
	cfg.Limits.PeerRate = Rate{PerMinute: 1e9, Burst: 1e9}
	e := newEngine(start, cfg.withDefaults(), nil)
	words, err := stanza.Parse([]byte("<message><body>"+strings.Repeat("x", 100)+"</body></message>"), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	e.takeActions()
	before := heap()
	for range count {
		e.handleLAN(start, linklocal.Received{To: alice, From: "bob@h2", Stanza: words})
		e.takeActions()
	}
	each := int64(heap()-before) / count
	if l := e.stats().FromLAN; l.Pending != count || each > 100 {
		t.Errorf("%d bytes for each of %d messages that wait", each, l.Pending)
	}
	t.Logf("%d bytes for each", each)
	runtime.KeepAlive(e)
}

// What waits for the server, over a weekend and as much as it may be, is
// remembered until its fate is known.
func TestTheFateOfAllThatWaitsIsTold(t *testing.T) {
	const outbox = 10000 // xmppc2s.Config.QueueLimit
	cfg := office()
	cfg.Limits.PeerRate = Rate{PerMinute: 1e6, Burst: 1e6}
	r := newRig(t, cfg)
	for range outbox {
		r.fromLAN(alice, "bob@h2", `<message><body>hi</body></message>`)
	}
	first := r.sent()[0]
	r.wait(3 * 24 * time.Hour)
	r.taken()
	r.srv(xmppc2s.Undelivered{Stanza: first, Err: xmppc2s.ErrStopped})
	if got := strings.Join(r.taken(), "\n"); !strings.Contains(got, "not delivered: “hi”") {
		t.Errorf("bob is told %q", got)
	}
}
