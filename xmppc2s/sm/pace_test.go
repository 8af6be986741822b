package sm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The shapers of the servers' own configurations.
var (
	ejabberdShaper = shaped{rate: 3000, burst: 20000, piece: 16 << 10, delay: 20 * time.Millisecond}
	prosodyShaper  = shaped{rate: 10000, piece: 4096, delay: 20 * time.Millisecond}
)

func mustRun(t rapid.TB, s *shaped, most time.Duration, done func() bool) time.Duration {
	t.Helper()
	begin := s.now
	if err := s.run(most, done); err != nil {
		t.Fatalf("dead after %v: %v", s.now.Sub(begin), err)
	}
	if !done() {
		t.Fatalf("not done after %v: %d read, window %d", most, s.read, s.e.window())
	}
	return s.now.Sub(begin)
}

// sayInBulk has a line of chat said while bulk is on its way, and returns how
// long it took to the server.
func sayInBulk(t rapid.TB, s *shaped) time.Duration {
	t.Helper()
	at, n := s.now, len(s.chat)
	s.talk = append(s.talk, chatLine)
	mustRun(t, s, time.Minute, func() bool { return len(s.chat) > n })
	return s.chat[n].Sub(at)
}

// SM-05, SM-13
func TestChatIsNotHeldUpByBulk(t *testing.T) {
	for name, server := range map[string]shaped{"ejabberd": ejabberdShaper, "prosody": prosodyShaper} {
		t.Run(name, func(t *testing.T) {
			s := newShaped(New(Policy{}), server)
			s.addBulk(200_000, 500)
			for i := range 12 {
				took := sayInBulk(t, s)
				if most := 7 * time.Second; took > most || i >= 8 && took > most/2 {
					t.Errorf("line %d took %v at a window of %d", i, took, s.e.window())
				}
				_ = s.run(time.Second, func() bool { return false })
			}
			ideal := time.Duration((200_000 - server.burst) / server.rate * float64(time.Second))
			mustRun(t, s, 5*time.Minute, s.idle)
			if took := s.now.Sub(t0); took > ideal*10/9 {
				t.Errorf("all took %v, the server needs %v", took, ideal)
			}
		})
	}
}

// What one connection has learned the next one begins with, and a burst granted
// after silence does not undo it.
func TestWhatWasLearnedIsKept(t *testing.T) {
	server := ejabberdShaper
	server.rate = 2000
	s := newShaped(New(Policy{}), server)
	s.addBulk(100_000, 500)
	mustRun(t, s, time.Minute, s.idle)
	for _, what := range []string{"rest", "reconnect"} {
		_ = s.run(time.Minute, func() bool { return false })
		if was := s.e.window(); what == "reconnect" {
			s.restart()
			if w := s.e.window(); w < was*4/5 || w > was*5/4 {
				t.Errorf("a window of %d after one of %d", w, was)
			}
		}
		s.longer = 0
		s.addBulk(60_000, 500)
		_ = s.run(2*time.Second, func() bool { return false })
		if took := sayInBulk(t, s); took > 4*time.Second {
			t.Errorf("%s: a line took %v, with up to %d bytes before it", what, took, s.longer)
		}
		mustRun(t, s, time.Minute, s.idle)
	}
}

func TestTheWindowOpensWhereTheServerIsFast(t *testing.T) {
	for _, delay := range []time.Duration{50 * time.Microsecond, 20 * time.Millisecond, 300 * time.Millisecond} {
		s := newShaped(New(Policy{}), shaped{rate: 100e6, piece: 4096, delay: delay})
		s.addBulk(200_000, 200)
		took := mustRun(t, s, time.Minute, s.idle)
		if trips := took / (2 * delay); trips > 35 || s.e.window() < 64<<10 {
			t.Errorf("delay %v: %d trips, window %d", delay, trips, s.e.window())
		}
	}
}

func TestAServersLimitStaysTheLimit(t *testing.T) {
	e := active(t, Policy{}, 4000)
	s := &shaped{e: e, now: t0, rate: 1e6, burst: 1e6, piece: 4096}
	s.framer = newShaped(New(Policy{}), *s).framer
	s.paidAt, s.balance = t0, 1e6
	s.addBulk(200_000, 200)
	mustRun(t, s, time.Minute, s.idle)
	if s.longer > 4000 || e.pace.window() < 2*4000 {
		t.Errorf("%d in flight of %d", s.longer, e.pace.window())
	}
}

// SM-13
func TestSlowIsNotDeadAndSilentIs(t *testing.T) {
	for _, tc := range []struct {
		rate float64
		size int
	}{{3000, 60_000}, {3000, 200_000}, {600, 8000}, {10_000, 250_000}} {
		t.Run(fmt.Sprint(tc.rate, "-", tc.size), func(t *testing.T) {
			server := ejabberdShaper
			server.rate = tc.rate
			s := newShaped(New(Policy{}), server)
			s.addBulk(40_000, 500)
			mustRun(t, s, 5*time.Minute, s.idle)
			s.addBulk(tc.size, tc.size)
			_ = s.run(time.Second, s.idle)
			s.e.Probe(s.now)
			mustRun(t, s, 10*time.Minute, s.idle)
		})
	}
	for name, server := range map[string]shaped{"slow": ejabberdShaper, "fast": {rate: 1e6, burst: 1, piece: 4096}} {
		s := newShaped(New(Policy{}), server)
		s.addBulk(100_000, 500)
		mustRun(t, s, time.Minute, s.idle)
		for what, bytes := range map[string]int{"a line": 100, "bulk": 100_000} {
			s.restart()
			s.deaf = true
			s.bulk = nil
			s.addBulk(bytes, 100)
			begin := s.now
			err := s.run(time.Hour, func() bool { return false })
			if took := s.now.Sub(begin); !errors.Is(err, ErrAckTimeout) || took > 21*time.Second {
				t.Errorf("%s, %s: %v after %v", name, what, err, took)
			}
			s.deaf = false
		}
	}
}

// SM-05, SM-13
func TestAnyShaperIsFilledAndNotDrowned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1000, 50_000).Draw(t, "rate")
		server := shaped{
			rate: float64(rate), burst: float64(rapid.IntRange(0, min(60_000, 10*rate)).Draw(t, "burst")),
			piece: rapid.SampledFrom([]int{512, 4096, 16 << 10}).Draw(t, "piece"),
			delay: time.Duration(rapid.IntRange(0, 400).Draw(t, "delay")) * time.Millisecond,
		}
		size := rapid.IntRange(max(60, rate/25), min(rate, 2000)).Draw(t, "size")
		s := newShaped(New(Policy{}), server)
		n := int(server.burst + 70*server.rate)
		s.addBulk(n, size)
		// Learn:
		mustRun(t, s, time.Hour, func() bool { return s.read > int(server.burst+40*server.rate) })
		begin, paid := s.now, float64(s.read)+min(0, s.pay())
		took := sayInBulk(t, s)
		lump := time.Duration(float64(server.piece+2*size) / server.rate * float64(time.Second))
		if most := 3*paceTarget + 14*server.delay + 2*lump; took > most {
			t.Errorf("a line took %v, not %v; window %d", took, most, s.e.window())
		}
		mustRun(t, s, time.Hour, s.idle)
		if got := (float64(s.read) - paid) / s.now.Sub(begin).Seconds(); got < 0.9*server.rate {
			t.Errorf("%.0f bytes a second, window %d, trip %v", got, s.e.window(), s.e.pace.trip)
		}
	})
}

// SM-13: how long a write takes says nothing of the answer.
func TestTheWaitForAnAnswerBeginsWhenTheQuestionHasLeft(t *testing.T) {
	e := active(t, Policy{AckTimeout: 20 * time.Second}, 0)
	enqueue(t, e, t0, m(1))
	wantWrite(t, "a message", e, t0, m(1))
	wantWrite(t, "and the question", e, at(time.Second), request)
	e.Written(at(16 * time.Second))
	if err := e.HandleTimeout(at(35 * time.Second)); err != nil {
		t.Error(err)
	}
	if err := e.HandleTimeout(at(36 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Error(err)
	}
}

// A first flight may be too much for a server slower than any that is known.
// The next one is not.
func TestAHopelessServerIsLearnedByLosingConnections(t *testing.T) {
	s := newShaped(New(Policy{}), shaped{rate: 80, piece: 4096})
	s.addBulk(20_000, 200)
	for lost := 0; !s.idle(); lost++ {
		if err := s.run(time.Hour, s.idle); err == nil {
			continue
		}
		if lost > 3 {
			t.Fatalf("lost %d times, window %d", lost, s.e.pace.window())
		}
		s.e.Lost(Silent)
		s.restart()
	}
}

// How long the server may be busy is what its pace says, within bounds; it is
// not busy with nothing.
func TestHowLongTheServerIsBehind(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes int
		keeps time.Duration // how long the server keeps the session
		want  time.Duration
	}{
		"nothing":        {0, time.Hour, 0},
		"a line":         {firstRate / 8, time.Hour, minBehind + time.Second/8},
		"a window":       {firstRate, 0, minBehind + time.Second},
		"a large one":    {100 * firstRate, time.Hour, maxBehind},
		"a hasty server": {firstRate, 3 * time.Second, 750 * time.Millisecond},
	} {
		e := active(t, Policy{}, -1)
		e.id.max = tc.keeps
		if tc.bytes > 0 {
			enqueue(t, e, t0, "<message>"+strings.Repeat("x", tc.bytes-len("<message></message>"))+"</message>")
			e.AppendWrite(t0, nil)
		}
		if got := e.Behind(); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// One request at a time: where the path is long it must stand behind all of the
// window, where the server is slow behind half of it.
func TestARequestStandsWhereItHelps(t *testing.T) {
	for name, tc := range map[string]struct {
		server shaped
		behind int
	}{
		"near and fast": {shaped{rate: 100e6, piece: 4096, delay: 50 * time.Microsecond}, 4000},
		"far and fast":  {shaped{rate: 100e6, piece: 4096, delay: 50 * time.Millisecond}, 4000},
		"near and slow": {prosodyShaper, 2000},
	} {
		s := newShaped(New(Policy{}), tc.server)
		s.e.conn.limits.Window = 4000
		s.addBulk(400_000, 200)
		mustRun(t, s, time.Minute, func() bool { return s.read > 300_000 })
		if got := s.e.pace.share(4000); got != tc.behind {
			t.Errorf("%s: behind %d bytes", name, got)
		}
	}
}

// A round that finds a server idle and one that does not differ by a trip: the
// window must not go to and fro between what the two say.
func TestOneRoundIsNotTheRule(t *testing.T) {
	s := newShaped(New(Policy{}), shaped{rate: 22_037, piece: 16 << 10, delay: 307 * time.Millisecond})
	s.addBulk(80*22_037, 1266)
	mustRun(t, s, time.Hour, func() bool { return s.read > 30*22_037 })
	_ = sayInBulk(t, s)
	begin, read := s.now, s.read
	mustRun(t, s, time.Hour, func() bool { return len(s.bulk) == 0 })
	if got := float64(s.read-read) / s.now.Sub(begin).Seconds(); got < 0.95*s.rate {
		t.Errorf("%.3f of the server's rate", got/s.rate)
	}
	p := newPace()
	p.learn(2*paceMemory, 0.001)
	if got := p.rate(); got > 3*firstRate+1 {
		t.Errorf("after one large flight in a burst %.0f bytes a second", got)
	}
}
