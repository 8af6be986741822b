package clique

import (
	"testing"
	"testing/synctest"
	"time"
)

// CQ-07, CQ-09, CQ-10: one makes the room and advertises it, the other finds it,
// and they talk.
func TestTwoMeetInARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN(t)
		alice := lan.host("alice@a", Config{})
		alice.join(Room{Name: "Witchcraft", Make: true})
		pass(8 * time.Second)
		alice.want("alone", "entered Witchcraft")
		bob := lan.host("bob@b", Config{})
		bob.join(Room{Name: "Witchcraft"})
		pass(12 * time.Second)
		alice.want("bob came", "joined Witchcraft: bob@b")
		bob.want("both", "entered Witchcraft\njoined Witchcraft: alice@a")
		alice.say("Witchcraft", "hello <bob> & all")
		bob.say("Witchcraft", "hello \"alice\"")
		pass(time.Second)
		bob.want("spoken to", "alice@a in Witchcraft: hello <bob> & all")
		alice.want("spoken to", `bob@b in Witchcraft: hello "alice"`)
		start := time.Now()
		bob.stop()
		if d := time.Since(start); d > 1600*time.Millisecond {
			t.Errorf("Run took %v to end", d)
		}
		bob.want("at the end", "clique.Closed")
		pass(time.Second)
		alice.want("bob left", "left Witchcraft: bob@b")
		alice.stop()
	})
}
