package rooms

import (
	"testing"
	"time"

	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// IJ-08: how far another gateway has come is understood, too, by its place among what
// is told, of a line that a run before has heard it say.
func TestWhatARunBeforeHasHeardHasItsPlace(t *testing.T) {
	b := newBench(t, nil)
	b.announces("gate@h4", "g4", ready)
	b.clique(clique.Frozen{Frozen: true})
	b.hears("alice", "s1", "one")
	b.pass(2 * time.Second)
	b.says("gate@h4", words("[alice] two"), via("office", b.engine.muc, "s2"))
	n := b.next(t, nil)
	n.clique(clique.Entered{Room: "Witchcraft"})
	n.clique(clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1", "gate@h4"}})
	n.announces("gate@h4", "g4", ready, carries1, last("s2"))
	n.server(xmppc2s.Online{})
	n.server(xmppc2s.RoomEntered{Room: theMUC, Archive: true})
	n.hears("alice", "s2", "two")
	if len(n.held.lines) != 1 {
		t.Fatalf("before all is told %d lines wait", len(n.held.lines))
	}
	n.server(xmppc2s.RoomCaughtUp{Room: theMUC})
	if len(n.held.lines) != 0 || n.held.last != "s2" {
		t.Errorf("%d lines wait, the LAN has all up to %q", len(n.held.lines), n.held.last)
	}
}

func last(key mucKey) stanza.Part { return stanza.Attr{Name: "last", Value: string(key)} }

// IJ-08: who hears nobody any more does not take over, beside another that may do so.
func TestWhoIsCutOffDoesNotTakeOver(t *testing.T) {
	b := newBench(t, nil)
	b.announcesFor(5*time.Second, "gate@h4", "g4", ready, carries1)
	b.announces("gate@h4", "g4")
	b.pass(takeoverIn + time.Second)
	if b.gates.duty != taking {
		t.Errorf("we are %v, and hear nobody", b.gates.duty)
	}
	b.announces("gate@h4", "g4")
	if b.gates.duty != carrying {
		t.Errorf("we are %v", b.gates.duty)
	}
}

// IJ-08: what was on its way to the LAN when the MUC was lost is known to be there.
func TestWhatIsGivenAfterALossCounts(t *testing.T) {
	b := newBench(t, nil)
	st := stanza.New(stanza.NSClient, "message", words("one"), stanza.Attr{Name: "type", Value: "groupchat"})
	b.handleServer(b.now, xmppc2s.RoomMessage{Room: theMUC, Nick: "alice", ID: "s1", Stanza: st, Done: func() {}})
	b.handleServer(b.now, xmppc2s.RoomLost{Room: theMUC, Why: xmppc2s.RoomKicked})
	b.carryOut()
	if want(t, "the LAN", b.ofPeople(), "[alice] one"); b.held.last != "s1" {
		t.Errorf("the LAN has all up to %q", b.held.last)
	}
}
