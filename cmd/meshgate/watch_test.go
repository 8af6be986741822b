package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// A fakeManager notes what it is told, in order.
type fakeManager struct {
	journal
	interval time.Duration
}

func (m *fakeManager) Ready()                  { m.add("ready") }
func (m *fakeManager) Stopping()               { m.add("stopping") }
func (m *fakeManager) Alive()                  { m.add("alive") }
func (m *fakeManager) Status(line string)      { m.add(line) }
func (m *fakeManager) Interval() time.Duration { return m.interval }

func (m *fakeManager) count(line string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, l := range m.lines {
		if l == line {
			n++
		}
	}
	return n
}

// A fakeHub takes events and pings until it hangs.
type fakeHub struct {
	mu     sync.Mutex
	events int
	hangs  bool
}

func (h *fakeHub) take(ctx context.Context) {
	h.mu.Lock()
	h.events++
	hangs := h.hangs
	h.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
}

func (h *fakeHub) hang() { h.mu.Lock(); defer h.mu.Unlock(); h.hangs = true }

func (h *fakeHub) HandleLAN(ctx context.Context, _ linklocal.Event)  { h.take(ctx) }
func (h *fakeHub) HandleServer(ctx context.Context, _ xmppc2s.Event) { h.take(ctx) }
func (h *fakeHub) Ping(ctx context.Context) error                    { h.take(ctx); return ctx.Err() }

func runWatch(t *testing.T, f func(w *watch, m *fakeManager, h *fakeHub, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m, h := &fakeManager{interval: 30 * time.Second}, &fakeHub{}
		w := newWatch(h, m, slog.New(slog.NewTextHandler(&log, nil)), part{"hub", func() any { return bridge.Stats{} }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		f(w, m, h, &log)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if m.count("stopping") != 1 {
			t.Error("the service manager was not told that we stop")
		}
	})
}

func TestReadyOnceOurNameIsOnTheLAN(t *testing.T) {
	runWatch(t, func(w *watch, m *fakeManager, h *fakeHub, _ *bytes.Buffer) {
		if m.count("ready") != 0 {
			t.Error("ready before")
		}
		for range 2 {
			w.HandleLAN(t.Context(), linklocal.ContactPublished{ID: "x", Instance: "meshgate@gw"})
		}
		synctest.Wait()
		time.Sleep(2 * lanPatience)
		synctest.Wait()
		if m.count("ready") != 1 {
			t.Errorf("told ready %d times, want once", m.count("ready"))
		}
		if h.events != 2+1 { // and one ping
			t.Errorf("the hub got %d events", h.events)
		}
	})
}

func TestReadyAfterPatienceWithoutLAN(t *testing.T) {
	runWatch(t, func(w *watch, m *fakeManager, _ *fakeHub, log *bytes.Buffer) {
		time.Sleep(lanPatience)
		synctest.Wait()
		w.HandleLAN(t.Context(), linklocal.ContactPublished{ID: "x", Instance: "meshgate@gw"})
		synctest.Wait()
		if m.count("ready") != 1 || !strings.Contains(log.String(), "not on the LAN yet") {
			t.Errorf("told ready %d times, log %q", m.count("ready"), log)
		}
	})
}

func TestAliveOnlyWhileTheHubAnswers(t *testing.T) {
	runWatch(t, func(w *watch, m *fakeManager, h *fakeHub, log *bytes.Buffer) {
		time.Sleep(95 * time.Second)
		synctest.Wait()
		if n := m.count("alive"); n != 3 {
			t.Errorf("alive %d times in 95 s, want 3", n)
		}
		h.hang()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := m.count("alive"); n != 3 {
			t.Errorf("alive %d times although the hub hangs, want 3", n)
		}
		if !strings.Contains(log.String(), "the hub does not answer") {
			t.Error("a hub that hangs is not logged")
		}
	})
}

func TestStatusTellsBothSides(t *testing.T) {
	runWatch(t, func(w *watch, m *fakeManager, _ *fakeHub, _ *bytes.Buffer) {
		w.HandleServer(t.Context(), xmppc2s.Online{JID: jid.MustParse("gw@example.org/meshgate")})
		w.HandleLAN(t.Context(), linklocal.ContactPublished{ID: "x", Instance: "meshgate@gw"})
		w.HandleServer(t.Context(), xmppc2s.Offline{Err: &xmppc2s.Error{Text: "nobody answers"}})
		if want := "LAN: present as meshgate@gw and others; server: offline, nobody answers"; m.count(want) != 1 {
			t.Errorf("status lines %q, want %q", m.lines, want)
		}
		if want := "LAN: present as meshgate@gw and others; server: online as gw@example.org/meshgate"; m.count(want) != 1 {
			t.Errorf("status lines %q, want %q", m.lines, want)
		}
	})
}

// SM-11: what is given up when nobody is left to be told is at least logged,
// with its id and address, but not with its words.
func TestMessageGivenUpAtTheStopIsLogged(t *testing.T) {
	var log bytes.Buffer
	w := newWatch(&fakeHub{}, &fakeManager{}, slog.New(slog.NewTextHandler(&log, nil)))
	st := stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "to", Value: "bob@example.org"}, stanza.Attr{Name: "id", Value: "m7"},
		stanza.New(stanza.NSClient, "body", stanza.Text("words")))
	lost := xmppc2s.Undelivered{Stanza: st, Err: xmppc2s.ErrStopped}
	w.HandleServer(t.Context(), lost)
	if log.Len() > 0 {
		t.Errorf("logged while the hub can tell the sender: %s", &log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	w.HandleServer(t.Context(), lost)
	if got := log.String(); !strings.Contains(got, "to=bob@example.org id=m7") || strings.Contains(got, "words") {
		t.Errorf("log %q", got)
	}
}

func TestCountersAreLoggedHourly(t *testing.T) {
	runWatch(t, func(_ *watch, _ *fakeManager, _ *fakeHub, log *bytes.Buffer) {
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "msg=counters part=hub"); n != 3 {
			t.Errorf("%d lines of counters in three hours", n)
		}
	})
}

func TestCountersOfALedgerHaveNames(t *testing.T) {
	var log bytes.Buffer
	s := bridge.Stats{FromLAN: bridge.Ledger{Entered: 7, Pending: 1}, Peers: 3}
	s.FromLAN.Ended[bridge.Delivered] = 4
	s.FromLAN.Ended[bridge.RefusedStranger] = 2
	slog.New(slog.NewTextHandler(&log, nil)).Info("counters", counters(s)...)
	for _, want := range []string{"from_lan.entered=7", "from_lan.pending=1", "from_lan.delivered=4", "from_lan.refused-stranger=2", "peers=3", "online=false"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, &log)
		}
	}
}
