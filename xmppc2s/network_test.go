package xmppc2s_test

import (
	"errors"
	"testing"
	"time"

	"meshgate/xmppc2s"
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
	for stop := time.After(10 * time.Second); len(h.seen()) == 0; {
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
func TestAnotherNetworkIsReasonToAsk(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.SM.ProbeTimeout, cfg.SM.AnswerDelay = 100*time.Millisecond, time.Hour
	c := xmppc2s.New(cfg)
	h := run(t, c)
	conn := s.accept()
	conn.fresh()
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
	conn.roundTrip()
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	h.await("online", isOnline)
	c.NetworkChanged()
	conn.expect("<r ")
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	conn.roundTrip() // it lives
	c.NetworkChanged()
	h.await("offline", isOffline)
	s.accept().resumed(4)
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
