package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	redrawProgress = 250 * time.Millisecond
	clearLine      = "\r\x1b[K"
)

// A meter counts what is written to it, and on a terminal shows how far it is.
type meter struct {
	total   int64 // bytes; below zero: not known
	done    atomic.Int64
	started time.Time
	stop    func() // may be called more than once; counting is over
	took    time.Duration
}

// meter begins to count.
func (r *streamRun) meter(name string, total int64) *meter {
	m := &meter{total: total, started: time.Now()}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	if !r.o.quiet && isTerminal(r.stderr) {
		wg.Go(func() { m.show(r.stderr, plain(name), ended) })
	}
	m.stop = sync.OnceFunc(func() {
		m.took = time.Since(m.started)
		close(ended)
		wg.Wait()
	})
	return m
}

func (m *meter) Write(b []byte) (int, error) {
	m.done.Add(int64(len(b)))
	return len(b), nil
}

// show draws one line again and again, until ended.
func (m *meter) show(w io.Writer, name string, ended <-chan struct{}) {
	tick := time.NewTicker(redrawProgress)
	defer tick.Stop()
	p := pace{at: m.started}
	for {
		select {
		case now := <-tick.C:
			n := m.done.Load()
			fmt.Fprint(w, clearLine+clip(name, 40)+"  "+p.line(n, m.total, now))
		case <-ended:
			fmt.Fprint(w, clearLine)
			return
		}
	}
}

// sum is what was counted, in words, once it is over.
func (m *meter) sum() string {
	n := m.done.Load()
	s := fmt.Sprintf("%s in %s", sizeWords(n), m.took.Round(100*time.Millisecond))
	if m.took >= time.Second {
		s += fmt.Sprintf(", %s/s", sizeWords(int64(float64(n)/m.took.Seconds())))
	}
	return s
}

// A pace is how fast something goes just now: what is further back counts less.
type pace struct {
	at   time.Time
	n    int64
	rate float64 // bytes per second
	told bool
}

const paceMemory = 3 * time.Second

// line takes how far it is, and says so: "12.0 MiB of 1.0 GiB  4.0 MiB/s  4m left".
func (p *pace) line(n, total int64, now time.Time) string {
	if d := now.Sub(p.at); d > 0 {
		latest := float64(n-p.n) / d.Seconds()
		weight := min(1, float64(d)/float64(paceMemory))
		if !p.told {
			weight = 1
		}
		p.rate += weight * (latest - p.rate)
		p.at, p.n, p.told = now, n, true
	}
	s := sizeWords(n)
	if total >= 0 {
		s += " of " + sizeWords(total)
	}
	s += "  " + sizeWords(int64(p.rate)) + "/s"
	if left := total - n; total >= 0 && left > 0 && p.rate >= 1 {
		s += "  " + leftWords(time.Duration(min(float64(left)/p.rate, 1e9))*time.Second) + " left"
	}
	return s
}

// leftWords is a time that something takes: "1m05s", "2h10m".
func leftWords(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(1, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return "days"
}

// sizeWords is a number of bytes for people: "1.5 MiB".
func sizeWords(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	const units = "KMGTPE"
	v, i := float64(n)/(1<<10), 0
	for v >= 1023.95 && i < len(units)-1 {
		v, i = v/(1<<10), i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
