package bridge

import (
	"fmt"
	"strings"
	"testing"

	"meshgate/linklocal"
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
