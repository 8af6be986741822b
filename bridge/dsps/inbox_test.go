package dsps

import (
	"fmt"
	"testing"
)

// DS-12: one person's queries, of whatever clients, leave room for others'.
func TestInboxKeepsRoomForOthers(t *testing.T) {
	b := newInbox()
	taken := 0
	for i := range 2 * inboxSize {
		if b.put(arrived{from: JID(fmt.Sprintf("Eve@home.org/%d", i))}) {
			taken++
		}
	}
	if taken != inboxEach || !b.put(arrived{from: ann}) {
		t.Errorf("%d of one person's wait, or there is no room for another", taken)
	}
	if n := len(b.take()); n != inboxEach+1 || !b.put(arrived{from: "eve@home.org"}) {
		t.Errorf("%d were taken, or there is no room after", n)
	}
}
