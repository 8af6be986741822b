package netwatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyWhatIsDifferentIsAChange(t *testing.T) {
	place, changes := "office", 0
	f := follower{look: func() string { return place }, changed: func() { changes++ }, last: place}
	f.settled()
	if changes != 0 {
		t.Error("a change where nothing is different")
	}
	place = "train"
	f.settled()
	f.settled()
	if changes != 1 {
		t.Errorf("%d changes, want 1", changes)
	}
}

// A link that flaps must not put the look off for as long as it does.
func TestAChangeIsNoticedThoughItNeverGetsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		place, begun := "office", time.Now()
		noticed := make(chan time.Duration, 1)
		f := follower{look: func() string { return place }, changed: func() { noticed <- time.Since(begun) }, last: place}
		news, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); f.run(ctx, news) }()
		place = "train"
		for range 100 {
			news <- struct{}{}
			time.Sleep(settle / 2)
		}
		cancel()
		<-ended
		if took := <-noticed; took > 2*settle {
			t.Errorf("noticed after %v", took)
		}
	})
}

func TestSleepIsAChange(t *testing.T) {
	changes := 0
	f := follower{look: func() string { return "" }, changed: func() { changes++ }}
	now, uptime := time.Now(), time.Hour
	tick := func(why string, process, machine time.Duration, want int) {
		t.Helper()
		now, uptime = now.Add(process), uptime+machine
		f.tick(now, uptime)
		if changes != want {
			t.Errorf("%s: %d changes, want %d", why, changes, want)
		}
	}
	tick("first", 0, 0, 0)
	tick("awake", 2*time.Second, 2*time.Second, 0)
	tick("busy", time.Minute, time.Minute, 0)
	tick("clocks differ", 2*time.Second, 5*time.Second, 0)
	tick("slept", 2*time.Second, time.Hour, 1)
	tick("awake again", 2*time.Second, 2*time.Second, 1)

	var clock Wake // of a virtual machine that was halted
	wall := func(now time.Time, ahead time.Duration) time.Duration { return time.Duration(now.UnixNano()) + ahead }
	if clock.Slept(now, wall(now, 0)) || clock.Slept(now, wall(now, -time.Hour)) || !clock.Slept(now, wall(now, 0)) {
		t.Error("a clock that is set forward is sleep, one that is set back is not")
	}
}
