package linklocal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"meshgate/internal/iconcache"
)

var iconBase = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// hashOf is a hash that a peer may say.
func hashOf(n int) string { return iconcache.Hash([]byte{byte(n), byte(n >> 8)}) }

// A failed fetch is tried again, ever later, and not for ever.
func TestIconFetchesAreRetriedAndGivenUp(t *testing.T) {
	b := newIconBook(10)
	b.set(iconBase, "p@h", strings.ToUpper(hashOf(1)))
	var gaps []time.Duration
	now, last := iconBase, iconBase
	for n := 0; ; n++ {
		j := b.next(now)
		if j == nil || j.hash != hashOf(1) {
			t.Fatalf("try %d at %v: %+v", n, now, j)
		}
		gaps = append(gaps, now.Sub(last))
		if final := b.done(now, j, iconMissing); final {
			break
		}
		if last, now = now, b.nextTimeout(); b.next(now.Add(-1)) != nil {
			t.Fatal("before its time")
		}
	}
	if got, want := fmt.Sprint(gaps), "[0s 10s 10s 1m0s 5m0s]"; got != want {
		t.Errorf("pauses %v, want %v", got, want)
	}
	b.set(now.Add(time.Hour), "p@h", hashOf(1))
	if b.next(now.Add(time.Hour)) != nil {
		t.Error("asked again for what was given up")
	}
	b.set(now.Add(time.Hour), "p@h", hashOf(2))
	if b.next(now.Add(time.Hour)) == nil {
		t.Error("another picture is not asked for")
	}
}

// A peer that flips its hash, also by coming and going, is asked no more often.
func TestAFlippingPeerIsAskedOncePerInterval(t *testing.T) {
	b := newIconBook(10)
	fetches := 0
	for n := range 1000 { // 100 s
		now := iconBase.Add(time.Duration(n) * 100 * time.Millisecond)
		b.set(now, "p@h", hashOf(n))
		if n%3 == 0 {
			b.gone(now, "p@h")
			b.next(now)
			b.set(now, "P@h", hashOf(n))
		}
		if j := b.next(now); j != nil {
			fetches++
			b.done(now, j, iconCame)
		}
	}
	if fetches != 10 {
		t.Errorf("%d fetches in 100 s, want 10", fetches)
	}
}

func TestIconFetchesAreFewAtATimeAndEndWithThePeer(t *testing.T) {
	b := newIconBook(10)
	for n := range 10 {
		b.set(iconBase.Add(time.Duration(n)), Instance(fmt.Sprint(n)), hashOf(n))
	}
	var jobs []*iconJob
	cancelled := 0
	for j := b.next(iconBase.Add(time.Second)); j != nil; j = b.next(iconBase.Add(time.Second)) {
		j.cancel = func() { cancelled++ }
		jobs = append(jobs, j)
	}
	if len(jobs) != maxIconFetches || jobs[0].instance != "0" {
		t.Fatalf("%d at a time, first %v", len(jobs), jobs[0])
	}
	b.gone(iconBase, "0")
	b.set(iconBase, "1", hashOf(99))
	if cancelled != 2 {
		t.Errorf("%d cancelled, want 2", cancelled)
	}
	for i, j := range jobs[:2] {
		if b.done(iconBase, j, iconCame) {
			t.Errorf("job %d: what is not wanted any more came", i)
		}
	}
	if j := b.next(iconBase.Add(time.Second)); j == nil || j.instance != "4" {
		t.Errorf("next is %+v", j)
	}
}

// Whatever happens, the book stays bounded and comes to rest.
func TestIconBookComesToRest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := newIconBook(8)
	now := iconBase
	jobs := map[*iconJob]bool{}
	for range 20000 {
		now = now.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		peer := Instance(fmt.Sprint(rnd.IntN(40)))
		switch rnd.IntN(4) {
		case 0:
			b.set(now, peer, hashOf(rnd.IntN(5)))
		case 1:
			b.set(now, peer, []string{"", "not a hash"}[rnd.IntN(2)])
		case 2:
			b.gone(now, peer)
		case 3:
			for j := range jobs {
				delete(jobs, j)
				b.done(now, j, iconOutcome(rnd.IntN(3)))
				break
			}
		}
		if j := b.next(now); j != nil {
			j.cancel = func() {}
			jobs[j] = true
		}
		if len(b.entries) > 16 || len(jobs) != b.fetching || b.fetching > maxIconFetches {
			t.Fatalf("%d entries, %d of %d fetches", len(b.entries), b.fetching, len(jobs))
		}
	}
	for n := 0; n < 1000 && (len(jobs) > 0 || !b.nextTimeout().IsZero()); n++ {
		for j := range jobs {
			delete(jobs, j)
			b.done(now, j, iconMissing)
		}
		if at := b.nextTimeout(); at.After(now) {
			now = at
		}
		if j := b.next(now); j != nil {
			j.cancel = func() {}
			jobs[j] = true
		}
	}
	if len(jobs) > 0 || !b.nextTimeout().IsZero() {
		t.Errorf("still %d jobs, next at %v", len(jobs), b.nextTimeout())
	}
	for _, e := range b.entries {
		if e.state != iconSettled || e.want == "" {
			t.Errorf("%s is %v for %q", e.instance, e.state, e.want)
		}
	}
}
