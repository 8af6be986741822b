package clique

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// Who is killed goes on as the same node: the others do not notice, and what they
// said meanwhile is told.
func TestAKilledMemberGoesOn(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		alice.say("Lab", "one")
		bob.say("Lab", "two")
		pass(3 * time.Second)
		bob.log()
		alice.say("Lab", "three")
		resume := alice.kill()
		if len(alice.resume) > 0 {
			t.Error("an orderly end leaves something to go on with")
		}
		bob.say("Lab", "four")
		pass(10 * time.Second)
		again := alice.next(resume)
		pass(10 * time.Second)
		again.want("after the kill", "entered Lab again\njoined Lab: bob@b\nsaid in Lab: three\nbob@b in Lab: four")
		again.say("Lab", "five")
		pass(3 * time.Second)
		bob.want("nothing but the words", "alice@a in Lab: three\nalice@a in Lab: five")
	})
}

// next is the run after this one, on the same machine.
func (h *fakeHost) next(resume []byte) *fakeHost {
	h.lan.t.Helper()
	again := h.lan.idle(h.name, Config{})
	again.addr = h.addr
	again.run()
	again.join(Room{Name: "Lab", Resume: resume}) // where it is need not be said
	return again
}

// Who ends and will soon go on is not noticed either, and what was on its way still goes,
// also where the disk is slow.
func TestAResumableEndIsNotNoticed(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{Resumable: true})
		lan.mu.Lock()
		alice.disk = 100 * time.Millisecond
		lan.mu.Unlock()
		alice.say("Lab", "one")
		bob.say("Lab", "two")
		pass(3 * time.Second) // both have what the other has said
		alice.Send("Lab", textMessage("three"), nil)
		pass(10 * time.Millisecond)
		alice.stop()
		alice.want("in the end", "bob@b in Lab: two\nclique.Closed")
		if len(alice.resume) == 0 {
			t.Fatal("nothing to go on with is left")
		}
		bob.say("Lab", "four")
		pass(200 * time.Second)
		bob.want("while alice is away", "alice@a in Lab: one\nalice@a in Lab: three")
		again := alice.next(alice.resume)
		pass(10 * time.Second)
		again.want("the next run", "entered Lab again\njoined Lab: bob@b\nsaid in Lab: three\nbob@b in Lab: four")
		again.say("Lab", "five")
		pass(3 * time.Second)
		bob.want("nothing but the words", "alice@a in Lab: five")
	})
}

// Who is not going to come back says so.
func TestAnEndForGoodIsSaid(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{Resumable: true})
		alice.LeaveOnStop()
		alice.stop()
		pass(3 * time.Second)
		bob.want("soon", "left Lab: alice@a")
		if len(alice.resume) != 0 {
			t.Error("something to go on with is left")
		}
	})
}

// Who stays away for longer than the others wait is somebody new, and is told nothing twice.
func TestWhoComesBackTooLateIsSomebodyNew(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{Resumable: true})
		bob.say("Lab", "one")
		pass(3 * time.Second)
		alice.want("before", "bob@b in Lab: one")
		alice.stop()
		pass(8 * time.Minute)
		bob.want("tired of waiting", "left Lab: alice@a")
		again := alice.next(alice.resume)
		pass(meetTime)
		again.want("the next run", "entered Lab\njoined Lab: bob@b")
		bob.want("again", "joined Lab: alice@a")
	})
}

// Who is killed in mid-talk has been told of each line that the others have that it
// was handed out, or is told by the next run: also if the disk is slow, and there is
// always something that waits for it.
func TestWhatOthersHaveIsToldToBeSent(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		lan.mu.Lock()
		alice.disk = 100 * time.Millisecond
		lan.mu.Unlock()
		var mu sync.Mutex
		known := map[string]bool{}
		for i := range 30 {
			line := fmt.Sprint("line ", i)
			alice.Send("Lab", textMessage(line), func(err error) {
				mu.Lock()
				defer mu.Unlock()
				known[line] = err == nil
			})
			bob.Send("Lab", textMessage("aha"), func(error) {}) // which says what he has
			pass(30 * time.Millisecond)
		}
		mu.Lock()
		told := maps.Clone(known)
		mu.Unlock()
		heard := strings.Split(bob.log(), "\n")
		resume := alice.kill()
		again := alice.next(resume)
		pass(10 * time.Second)
		for line := range strings.SplitSeq(again.log(), "\n") {
			if line, ok := strings.CutPrefix(line, "said in Lab: "); ok {
				told[line] = true
			}
		}
		if len(heard) < 10 {
			t.Errorf("bob has heard %q", heard)
		}
		for _, line := range heard {
			if line = strings.TrimPrefix(line, "alice@a in Lab: "); !told[line] {
				t.Errorf("bob has %q, and alice does not know", line)
			}
		}
	})
}

// What is of no use is as good as nothing.
func TestUselessSnapshotsAreNotUsed(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {200}, {6, 1, 2}, bytes.Repeat([]byte{6}, 100), bytes.Repeat([]byte{255}, 300), appendResume(nil, netip.MustParseAddrPort("10.0.0.1:5000"), []byte("x"))} {
		if g, engine := parseResume(b); g.IsValid() || engine != nil {
			t.Errorf("%v leads to %v", b, g)
		}
	}
	g := netip.MustParseAddrPort("[ff15::1]:5000")
	if was, engine := parseResume(appendResume(nil, g, []byte("x"))); was != g || string(engine) != "x" {
		t.Errorf("%v, %q", was, engine)
	}
	onLAN(t, func(lan *fakeLAN) {
		alice := lan.host("alice@a", Config{})
		group := netip.MustParseAddrPort("239.255.71.7:7000")
		alice.join(Room{Name: "Lab", Group: group, Resume: appendResume(nil, group, []byte("torn"))})
		alice.join(Room{Name: "Moved", Group: netip.MustParseAddrPort("239.255.71.8:7000"), Resume: appendResume(nil, group, []byte("torn"))})
		pass(enterTime)
		if got := alice.info("Lab").State + ", " + alice.info("Moved").State; got != "in the room, in the room" {
			t.Error(got)
		}
	})
}

// Packets that say what we have are not sent before the handler has it, and yet a
// handler that hangs does not take us out of the room.
func TestPacketsWaitForTheirSnapshot(t *testing.T) {
	onLAN(t, func(lan *fakeLAN) {
		alice, bob := lan.pair(Config{})
		alice.blocks("Lab")
		bob.say("Lab", "first")
		pass(100 * time.Millisecond) // the handler hangs
		done := make(chan error, 1)
		alice.Send("Lab", textMessage("answer"), func(err error) { done <- err })
		pass(holdLimit - 200*time.Millisecond)
		bob.want("while it is not kept what the answer answers", "")
		if len(done) > 0 {
			t.Error("done, and not sent")
		}
		pass(time.Second)
		bob.want("at last", "alice@a in Lab: answer")
		pass(3 * time.Minute)
		bob.want("though alice hangs", "")
		alice.blocks("")
		pass(time.Second)
		alice.want("no more", "bob@b in Lab: first")
	})
}
