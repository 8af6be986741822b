package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// SM-12: the mesh stops before the hub does. What comes from the network then
// is neither bounced nor done: the server keeps it, and the next run has it.
func TestSM12WhatComesDuringTheStopIsLeftToTheNextRun(t *testing.T) {
	r := ready(t)
	r.fromNet("<message from='alice@example.org/x' id='n1' type='chat'><body>@bob hi</body></message>")
	r.taken()
	r.result(fmt.Errorf("no: %w", linklocal.ErrStopped))
	if got := r.trail(); got != "" || r.done["n1"] != 0 {
		t.Errorf("done %d times; %s", r.done["n1"], got)
	}
	if s := r.e.stats().FromNetwork; s.Pending != 1 || r.past.len(Passed) != 0 {
		t.Errorf("%+v, %d rows", s, r.past.len(Passed))
	}
	r.wantBalanced()
	r.fromNet("<message from='alice@example.org/x' id='n2' type='chat'><body>@bob hi</body></message>")
	r.taken()
	r.result(linklocal.ErrUnreachable) // while a peer that is out of reach still is
	if got := r.trail(); !strings.Contains(got, "recipient-unavailable") || r.done["n2"] != 1 {
		t.Errorf("done %d times; %s", r.done["n2"], got)
	}
}

// SM-11: what the session gives up when the hub has ended is no delivered
// message for the next run, which tells its sender.
func TestWhatIsGivenUpAtTheVeryEndIsToldByTheNextRun(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", "<message type='chat'><body>hi</body></message>")
	h := &Hub{cfg: r.e.cfg, past: &r.past, ended: r.e}
	for range 2 { // it may be said twice
		h.late(xmppc2s.Undelivered{Stanza: r.sent()[0], Err: xmppc2s.ErrExpired})
	}
	r.wantBalanced()

	n := r.restarted(office(), time.Minute)
	n.presence("alice@example.org/phone", "", "", 0, true)
	n.peer("bob@h2", linklocal.Presence{})
	n.wait(time.Second)
	n.taken()
	for range 2 {
		(&Hub{past: &n.past}).closeCarried(n.now, n.e, nil)
		n.flush()
	}
	if got := n.trail(); strings.Count(got, "not delivered: “hi” (the server could not be reached for too long)") != 1 {
		t.Error(got)
	}
	if l := n.e.stats().FromLAN; l.Ended[Expired] != 1 || l.Pending != 0 {
		t.Errorf("%+v", l)
	}
	n.wantBalanced()
}
