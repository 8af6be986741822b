package rooms

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// IJ-08: a carrier that was killed right after it had given a line to the LAN does not
// know how far it has come, but which line that was; and who has it still, asks.
func TestMUCLinesThatWaitAreAskedAbout(t *testing.T) {
	b := newBench(t, nil)
	b.hears("alice", "s1", "one")
	b.announces("gate@h4", "g4", idList("held", []mucKey{"s1", "s2"}))
	if diff := cmp.Diff([]mucKey{"s1"}, listedKeys(b.announced().Child(nsGateway, "given"))); diff != "" {
		t.Errorf("we say of the others' lines (-want +got):\n%s", diff)
	}
	b.announces("gate@h4", "g4", ready, carries1)
	b.hears("alice", "s3", "three")
	b.announcesFor(offerAfter+2*time.Second, "gate@h4", "g4", ready, carries1)
	asked := false
	for _, a := range b.sent {
		keys := listedKeys(a.stanza.Child(nsGateway, "gateway").Child(nsGateway, "held"))
		asked = asked || cmp.Equal(keys, []mucKey{"s3"})
	}
	if !asked {
		t.Error("nobody was asked about a line that waits")
	}
	b.announces("gate@h4", "g4", ready, carries1, idList("given", []mucKey{"s3"}))
	if len(b.held.lines) != 0 {
		t.Errorf("%d lines wait", len(b.held.lines))
	}
}
