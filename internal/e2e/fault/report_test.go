package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Of what is lost a report says in few words what it was, and when it was sent.
func TestLostMessagesAreNamedTogether(t *testing.T) {
	t.Parallel()
	w := newWay("up0", 9, 9, []int{100})
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for i := range 9 {
		w.record.sent = append(w.record.sent, sending{at: begin.Add(time.Duration(i) * time.Second)})
	}
	want := []string{
		"up0.0 sent at 03:04:05.000000", "up0.3 to 5 sent at 03:04:08.000000 to 03:04:10.000000", "up0.8 sent at 03:04:13.000000",
	}
	if diff := cmp.Diff(want, w.spans([]int{8, 3, 4, 0, 5})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[2:], excerpt(want, 1)); diff != "" {
		t.Error(diff)
	}
}

// What the gateway has counted as delivered has come, or the server has lost it
// after it had acknowledged it.
func TestDeliveredIsWhatHasCome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		delivered uint64
		gone      int
		well      bool
	}{{49, 0, true}, {50, 0, false}, {48, 0, false}, {49, 1, true}, {50, 1, true}, {51, 1, false}, {48, 1, false}} {
		wrong := miscounted("LAN to network", verdict{sent: 50, received: 49}, account{Ended: map[string]uint64{"delivered": c.delivered}}, c.gone)
		if (len(wrong) == 0) != c.well {
			t.Errorf("%d delivered, 49 have come and %d are gone: %v", c.delivered, c.gone, wrong)
		}
	}
}
