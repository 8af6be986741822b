package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

const (
	// lanPatience is how long the start may wait for the LAN: an interface may
	// come hours later, and the service manager is told ready before that.
	lanPatience = 20 * time.Second
	// countersEvery is how often the counters are logged.
	countersEvery = time.Hour
	// pingPatience is how long the hub may take before it counts as hanging.
	pingPatience = 10 * time.Second
)

// A hub takes the events of both sides, and says that it is not hanging.
type hub interface {
	linklocal.Handler
	xmppc2s.Handler
	Ping(context.Context) error
}

// A notifier is the service manager; sdnotify.Notifier has it.
type notifier interface {
	Ready()
	Stopping()
	Alive()
	Status(line string)
	Interval() time.Duration // at which Alive is to be called; 0: never
}

// A watch stands in front of the hub, hands everything on, and tells the
// service manager and the log how the gateway is doing. Its handlers may be
// called from any goroutine.
type watch struct {
	hub
	log     *slog.Logger
	notify  notifier
	parts   []part
	present chan struct{} // closed once a name of ours is on the LAN
	once    sync.Once

	stopping atomic.Bool

	mu          sync.Mutex
	lan, server string // for the status line
	streams     string // the same; "": there are to be none
}

// A part is something that counts.
type part struct {
	name  string
	stats func() any
}

func newWatch(h hub, n notifier, log *slog.Logger, parts ...part) *watch {
	return &watch{
		hub: h, notify: n, log: log, parts: parts, present: make(chan struct{}),
		lan: "LAN: not there yet", server: "server: connecting",
	}
}

func (w *watch) HandleLAN(ctx context.Context, ev linklocal.Event) {
	if ev, ok := ev.(linklocal.ContactPublished); ok {
		w.once.Do(func() {
			w.setStatus(&w.lan, "LAN: present as "+string(ev.Instance)+" and others")
			close(w.present)
		})
	}
	w.hub.HandleLAN(ctx, ev)
}

func (w *watch) HandleServer(ctx context.Context, ev xmppc2s.Event) {
	switch ev := ev.(type) {
	case xmppc2s.Online:
		w.setStatus(&w.server, "server: online as "+ev.JID.String())
	case xmppc2s.Offline:
		w.setStatus(&w.server, "server: offline, "+strings.TrimPrefix(fmt.Sprint(ev.Err), "xmppc2s: "))
	case xmppc2s.Undelivered:
		if w.stopping.Load() { // the hub is gone, and so is the LAN: nobody else can be told
			w.log.Warn("given up at the stop", "to", ev.Stanza.Attr("to"), "id", ev.Stanza.Attr("id"), "err", ev.Err)
		}
	}
	w.hub.HandleServer(ctx, ev)
}

// streamsAre takes why there are no streams; nil: there are.
func (w *watch) streamsAre(err error) { w.setStatus(&w.streams, streamState(err)) }

// setStatus changes one part of the status line.
func (w *watch) setStatus(part *string, text string) {
	w.mu.Lock()
	*part = text
	line := w.lan + "; " + w.server
	if w.streams != "" {
		line += "; " + w.streams
	}
	w.mu.Unlock()
	w.notify.Status(line)
}

// Run keeps the service manager informed until ctx ends, and logs the counters
// from time to time.
func (w *watch) Run(ctx context.Context) error {
	late := time.NewTimer(lanPatience)
	defer late.Stop()
	hourly := time.NewTicker(countersEvery)
	defer hourly.Stop()
	var alive <-chan time.Time
	if d := w.notify.Interval(); d > 0 {
		t := time.NewTicker(d)
		defer t.Stop()
		alive = t.C
	}
	present := w.present
	for {
		select {
		case <-present:
			present = nil
			if late.Stop() {
				w.log.Info("ready")
				w.notify.Ready()
			}
		case <-late.C:
			w.log.Warn("ready, but not on the LAN yet: is the interface up?")
			w.notify.Ready()
		case <-alive:
			w.ping(ctx)
		case <-hourly.C:
			w.logCounters()
		case <-ctx.Done():
			w.stopping.Store(true)
			w.notify.Stopping()
			return nil
		}
	}
}

// ping tells the service manager that we are alive, if the hub's loop is.
func (w *watch) ping(ctx context.Context) {
	pctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	if err := w.hub.Ping(pctx); err == nil {
		w.notify.Alive()
	} else if ctx.Err() == nil {
		w.log.Error("the hub does not answer", "err", err)
	}
}

// logCounters writes one line for each part.
func (w *watch) logCounters() {
	for _, p := range w.parts {
		w.log.With("part", p.name).Info("counters", counters(p.stats())...)
	}
}
