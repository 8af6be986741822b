package rooms

import (
	"testing"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
)

// CQ-13: what was given to a LAN that was cut off is given again, in order, by a run
// after this one, too, and not by one after that.
func TestWhatNobodyHasHeardIsGivenAgain(t *testing.T) {
	b := newBench(t, nil)
	for _, id := range []string{"s1", "s2", "s3"} {
		b.hears("alice", id, id)
	}
	want(t, "the LAN", b.lan, "[alice] s1", "[alice] s2", "[alice] s3")
	b.held.unsure[0], b.held.unsure[1] = b.held.unsure[1], b.held.unsure[0] // their results have come so
	b.clique(clique.Left{Room: "Witchcraft", Member: "crone@h1", Why: rmulticast.Silent})
	if b.held.ending[0].Key != "s1" || b.held.lines[0].Key != "s1" {
		t.Errorf("the first one is %s", b.held.lines[0].Key)
	}
	n := b.next(t, nil)
	if len(n.held.lines) != 3 || n.held.last != "" {
		t.Errorf("the next run has %d lines, and takes the LAN to have all up to %q", len(n.held.lines), n.held.last)
	}
	n.meet()
	want(t, "the LAN, by the next run", n.ofPeople(), "[alice] s1", "[alice] s2", "[alice] s3")
	for key, value := range b.rows { // as if it was killed before the rows were removed
		n.rows[key] = value
	}
	if last := n.next(t, nil); len(last.held.lines) != 0 {
		t.Errorf("the run after that has %d lines", len(last.held.lines))
	}
}
