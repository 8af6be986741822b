package xmppc2s_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

func TestSurveyFindsWhatRealServersOffer(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		cfg := account(t, s, "alice", "a")
		// A session that is there already is not disturbed.
		_, h, _ := start(t, cfg)
		h.await("the first session", isOnline)
		got, err := xmppc2s.Ask(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !got.TLS || got.CertExpires.Before(time.Now()) || !got.SM || !got.Resumable || got.Addr != s.LoopbackAddr() {
			t.Errorf("connection: %+v", got)
		}
		if !got.PEP || !got.Carbons || !got.Archive || !got.Blocking || !got.Ping || got.Rooms != e2e.RoomService {
			t.Errorf("offers: %+v", got)
		}
		if !got.HasTime || got.Ahead.Abs() > time.Minute {
			t.Errorf("clock: %+v", got)
		}
		for _, ev := range h.seen() {
			if isOffline(ev) {
				t.Errorf("the first session was disturbed: %+v", ev)
			}
		}
	})
}

func TestSurveyOfAPoorServer(t *testing.T) {
	t.Parallel()
	s := e2e.Local(t).Prosody(e2e.ServerOptions{
		Users: map[string]string{"alice": "a"}, NoSM: true,
		Extra: "modules_disabled = { 's2s', 'pep', 'carbons', 'mam', 'blocklist', 'time', 'ping', 'muc' }\n",
	})
	got, err := xmppc2s.Ask(t.Context(), account(t, s, "alice", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if got.SM || got.Resumable || got.PEP || got.Carbons || got.Archive || got.Blocking || got.Ping || got.HasTime {
		t.Errorf("offers: %+v", got)
	}
}

func TestSurveySaysWhyThereIsNoSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port := split(t, ln.Addr().String())
	cfg := xmppc2s.Config{JID: parse("alice@example.org"), Password: "a", Host: host, Port: port}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var problem *xmppc2s.Error
	if _, err := xmppc2s.Ask(ctx, cfg); !errors.As(err, &problem) { // it accepts and is silent
		t.Errorf("silent server: %v", err)
	}
	ln.Close()
	if _, err := xmppc2s.Ask(t.Context(), cfg); !errors.As(err, &problem) || problem.Problem != xmppc2s.Unreachable {
		t.Errorf("nobody there: %v", err)
	}
}
