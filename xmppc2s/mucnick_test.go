package xmppc2s

import (
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

// CQ-13: a nick that is taken gets a number, up to a limit.
func TestATakenNickGetsANumber(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.explored("")
	for _, nick := range strings.Fields("gate gate2 gate3 gate4 gate5 gate6 gate7 gate8 gate9") {
		r.says(coven + "/" + nick + "'")
		r.gets("<presence type='error' from='%s/%s'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", coven, nick)
	}
	if l := hears[RoomLost](r); l.Why != RoomNickTaken || l.Retry != time.Minute {
		t.Errorf("lost: %+v", l)
	}
	r.silent()
	r.wait(time.Minute)
	r.explored("")
	r.says(coven + "/gate'")
}

// CQ-13: the nick that is wanted is taken when it is free, but not against the
// will of those who have renamed us.
func TestOurNickIsTakenWhenItIsFree(t *testing.T) {
	in := func(t *testing.T) *mucRig {
		r := newMUCRig(t)
		r.enter(Room{})
		r.explored("")
		r.says(coven + "/gate'")
		r.gets("<presence type='error' from='%s/gate'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", coven)
		r.says(coven + "/gate2'")
		r.welcome("gate2", "gate")
		hears[RoomEntered](r)
		r.subject("")
		hears[RoomSubject](r)
		hears[RoomCaughtUp](r)
		return r
	}
	t.Run("it is left", func(t *testing.T) {
		r := in(t)
		r.gets("%s", goneIs("gate", ""))
		hears[RoomOccupant](r)
		r.wait(nickSettle)
		r.says("<presence", coven+"/gate'")
		r.gets("%s", goneIs("gate2", "<item nick='gate'/>", 303, 110))
		r.gets("%s", hereIs("gate", 110))
		if o := hears[RoomOccupant](r); !o.Own || o.Nick != "gate2" || o.NewNick != "gate" {
			t.Errorf("renamed: %+v", o)
		}
		r.untold()
	})
	t.Run("somebody is quicker", func(t *testing.T) {
		r := in(t)
		for range 2 {
			r.gets("%s", goneIs("gate", "<item nick='grey'/>", 303))
			hears[RoomOccupant](r)
			r.wait(nickSettle)
			if id := r.says("<presence", coven+"/gate'").Attr("id"); id != "" {
				r.gets("<presence id='%s' type='error' from='%s/gate'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", id, coven)
			}
			r.gets("%s", goneIs("grey", "<item nick='gate'/>", 303))
			hears[RoomOccupant](r)
			r.wait(nickPace)
		}
		r.silent()
	})
	t.Run("we were renamed", func(t *testing.T) {
		r := in(t)
		r.gets("%s", goneIs("gate2", "<item nick='robot'/>", 303, 110))
		r.gets("%s", hereIs("robot", 110, 210))
		if o := hears[RoomOccupant](r); !o.Own || o.NewNick != "robot" {
			t.Errorf("renamed: %+v", o)
		}
		r.gets("%s", goneIs("gate", ""))
		r.wait(nickPace)
		r.silent()
		hears[RoomOccupant](r)
		r.live("robot", "x")
		if m := hears[RoomMessage](r); !m.Own {
			t.Error("our line is not ours")
		}
	})
}

// A room that renames us each time gets us in the end.
func TestARoomThatRenamesUsForEverIsEntered(t *testing.T) {
	r := newMUCRig(t)
	r.enter(Room{})
	r.explored("")
	for range maxNickTries + 1 {
		r.says("<presence")
		r.gets("%s", goneIs("x", "<item nick='gate'/>", 110, 303))
		r.gets("%s", hereIs("gate", 110))
	}
	hears[RoomEntered](r)
	r.silent()
}

// A nick that is ordered while we enter is taken when we are in.
func TestANickThatIsOrderedAtTheDoorIsTaken(t *testing.T) {
	r := newMUCRig(t)
	r.desk.order(r.now, coven, roomOrder{enter: &Room{JID: jid.MustParse(coven)}})
	r.settle()
	r.explored("")
	r.says(coven + "/meshgate'")
	r.enter(Room{Nick: "gate"})
	r.silent()
	r.welcome("meshgate")
	r.says(coven + "/gate'")
}
