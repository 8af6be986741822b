// Package netwatch notices when the machine may be somewhere else on the net: a
// link, an address or the way out is another, or it has slept.
package netwatch

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"meshgate/internal/alarm"
)

const (
	settle = 100 * time.Millisecond // a change comes in many small ones
	share  = 10                     // to look takes at most this part of the time, where many containers come and go
	doze   = 2 * time.Second        // how often one looks whether the machine has slept
	// sleepMin is the shortest sleep that counts: what is shorter is a busy
	// machine, or clocks that differ.
	sleepMin = 5 * time.Second
)

// Follow calls changed, which must not block, whenever the machine's links,
// addresses or default routes are others than before, and when it has slept.
// It returns when ctx ends, and its goroutine is gone then.
func Follow(ctx context.Context, log *slog.Logger, changed func()) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	news := make(chan struct{}, 1)
	l, _ := Listen() // before one looks, so that nothing is missed; else Keep will
	f := follower{look: state, changed: changed, last: state()}
	wg.Go(func() {
		l.Keep(ctx, log, func() {
			select {
			case news <- struct{}{}:
			default:
			}
		})
	})
	f.run(ctx, news)
	return nil
}

// run looks when there is news, and now and then whether the machine has slept.
func (f *follower) run(ctx context.Context, news <-chan struct{}) {
	var settled alarm.Alarm
	defer settled.Stop()
	wait, armed := settle, false
	tick := time.NewTicker(doze)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			if !armed { // what never ends must not put it off for ever
				settled.Set(time.Now().Add(wait))
			}
			armed = true
		case begun := <-settled.C():
			armed = false
			f.settled()
			wait = max(settle, share*time.Since(begun))
		case <-tick.C:
			f.tick(time.Now(), Uptime())
		}
	}
}

// A follower compares what is with what was.
type follower struct {
	look    func() string
	changed func()
	last    string
	wake    Wake
	clock   Wake
}

func (f *follower) settled() {
	if now := f.look(); now != f.last {
		f.last = now
		f.changed()
	}
}

// tick looks whether the machine has slept. To a virtual one that was halted
// only the clock on the wall says so, when somebody sets it.
func (f *follower) tick(now time.Time, uptime time.Duration) {
	slept, jumped := f.wake.Slept(now, uptime), f.clock.Slept(now, time.Duration(now.UnixNano()))
	if slept || jumped {
		f.last = f.look()
		f.changed()
	}
}

// A Wake notices that the machine has slept: time went on, and the process's
// own did not.
type Wake struct {
	at     time.Time
	uptime time.Duration // with sleep
}

// Slept compares the time with the machine's uptime, as of the same moment; it
// is false at the first call.
func (w *Wake) Slept(now time.Time, uptime time.Duration) bool {
	gap := (uptime - w.uptime) - now.Sub(w.at)
	first := w.at.IsZero()
	w.at, w.uptime = now, uptime
	return !first && gap >= sleepMin
}

// A Route is a default route.
type Route struct {
	Interface string
	Gateway   string // as the kernel writes it: equal ones are equal texts
	IPv6      bool
}

// state describes the addresses that reach beyond a link and the default
// routes. Equal states are equal texts.
func state() string {
	all, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, r := range DefaultRoutes() {
		lines = append(lines, "default "+r.Interface+" "+r.Gateway)
	}
	for _, ifi := range all {
		const need = net.FlagUp | net.FlagRunning
		if ifi.Flags&need != need || ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it is gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				lines = append(lines, fmt.Sprintf("%s %d %v", ifi.Name, ifi.Index, n))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
