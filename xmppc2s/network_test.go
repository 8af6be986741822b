package xmppc2s_test

import (
	"errors"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

// noHaste has nothing tried again within a test, unless something hastens it.
var noHaste = xmppc2s.Backoff{First: time.Hour, Max: time.Hour}

func TestAnotherNetworkEndsThePause(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff = noHaste
	c := xmppc2s.New(cfg)
	h := run(t, c)
	s.accept().cut()
	h.await("offline", isOffline)
	c.NetworkChanged()
	s.accept().fresh()
}

func TestAnotherNetworkEndsAnAttemptThatHangs(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	cfg := s.config()
	cfg.Backoff = noHaste
	c := xmppc2s.New(cfg)
	h := run(t, c)
	begun := time.Now()
	s.accept().open("") // and nothing more
	c.NetworkChanged()  // too early to end it
	for stop := time.After(e2e.Patience); len(h.seen()) == 0; {
		select {
		case <-stop:
			t.Fatal("it goes on hanging")
		case <-time.After(100 * time.Millisecond):
			c.NetworkChanged()
		}
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("ended after %v: links that come and go let no attempt succeed", took)
	}
	s.accept().fresh()
}

// SM-13: with another network the connection may be dead, and is asked at once.
// Nothing else asks here, and nothing else ends it.
func TestAnotherNetworkIsReasonToAsk(t *testing.T) {
	for name, probe := range map[string]time.Duration{"it lives": 0, "it is dead": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFake(t)
			cfg := s.config()
			cfg.SM = sm.Policy{ProbeTimeout: probe, AckTimeout: time.Hour, RequestDelay: time.Hour, AnswerDelay: time.Hour}
			c := xmppc2s.New(cfg)
			h := run(t, c)
			conn := s.accept()
			conn.fresh()
			h.await("online", isOnline)
			c.NetworkChanged()
			conn.expect("<r ")
			if probe == 0 {
				conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
				conn.roundTrip()
				s.quiet()
				return
			}
			h.await("offline", isOffline)
			s.accept().resumed(2)
		})
	}
}

func TestWhatAnotherNetworkDoesNotMend(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"anything":        {errors.New("x"), true},
		"unreachable":     {&xmppc2s.Error{Problem: xmppc2s.Unreachable}, true},
		"a hotel":         {&xmppc2s.Error{Problem: xmppc2s.Untrusted}, true},
		"wrong login":     {&xmppc2s.Error{Problem: xmppc2s.WrongLogin}, false},
		"conflict":        {xmppc2s.StreamError("conflict"), false},
		"overload":        {xmppc2s.StreamError("resource-constraint"), false},
		"shutdown":        {xmppc2s.StreamError("system-shutdown"), false},
		"not heard of us": {xmppc2s.StreamError("connection-timeout"), true},
	} {
		if got := xmppc2s.PassesWithNetwork(tc.err); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
