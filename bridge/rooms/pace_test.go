package rooms

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

var errPutOff = &stanza.Error{Type: "wait", Condition: stanza.ResourceConstraint}

// putOff has the MUC put off the last line that it was sent.
func (b *bench) putOff() {
	b.server(xmppc2s.RoomRefused{Room: theMUC, ID: b.stanzas[len(b.stanzas)-1].Attr("id"), Err: errPutOff})
}

// putOffFor has the MUC put off what it is sent for a while, and returns when it was asked.
func (b *bench) putOffFor(d time.Duration) (asked []time.Duration) {
	begun, known := b.now, len(b.stanzas)
	for b.now.Before(begun.Add(d)) {
		b.pass(10 * time.Millisecond)
		if len(b.stanzas) > known {
			asked = append(asked, b.now.Sub(begun).Round(500*time.Millisecond))
			b.putOff()
			known = len(b.stanzas)
		}
	}
	return asked
}

// CQ-13: what the MUC puts off it takes before anything that was said later. It is asked
// ever more seldom, and not for longer than Timing.PutOff; who has said what waits, or
// is given up, is told once.
func TestNothingOvertakesALineThatIsPutOff(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.says("crone@h1", words("two"))
	b.says("witch@h2", words("three"))
	want(t, "the MUC", b.muc, "[crone@h1] one", "[witch@h2] three")
	b.reflect(1)
	b.stanzas, b.muc = b.stanzas[:1], nil
	b.putOff()
	b.says("witch@h2", words("four"))
	asked := b.putOffFor(119 * time.Second)
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	if !slices.Equal(asked, []time.Duration{s(.5), s(1.5), s(3.5), s(7.5), s(15.5), s(31.5), s(63.5)}) {
		t.Errorf("the MUC was asked after %v", asked)
	}
	want(t, "the MUC, which puts it off", slices.Compact(b.muc), "[crone@h1] one")
	want(t, "the LAN meanwhile", b.lan, "[meshgate] crone@h1: "+wordsPutOff+"\n  witch@h2: "+wordsPutOff)
	b.lan, b.muc = nil, nil
	b.pass(3 * time.Second)
	want(t, "the MUC, which has not taken it", b.muc, "[crone@h1] two")
	want(t, "the LAN then", b.lan, "[meshgate] crone@h1: "+wordsPutOffLong)
	b.reflect(len(b.stanzas) - 1)
	b.pass(mostGap)
	want(t, "the MUC, which takes lines again", b.muc, "[crone@h1] two", "[witch@h2] four")
	b.reflect(len(b.stanzas) - 1)
	b.pass(time.Minute)
	want(t, "the LAN in the end", b.lan, "[meshgate] crone@h1: "+wordsPutOffLong)
	if l, _ := b.stats(); l.Delivered != 3 || l.Bounced != 1 || l.Pending != 0 {
		t.Errorf("%+v", l)
	}
}

// CQ-13: a MUC that takes nothing is asked once for each line that has waited for long,
// and that soon.
func TestLinesBehindOneThatIsGivenUpDoNotWaitAsLong(t *testing.T) {
	b := newBench(t, nil)
	b.says("crone@h1", words("one"))
	b.putOff()
	for range 10 {
		b.says("crone@h1", words("more"))
	}
	b.putOffFor(3 * time.Minute)
	if l, _ := b.stats(); l.Bounced != 11 || l.Pending != 0 {
		t.Errorf("%+v", l)
	}
	b.says("crone@h1", words("later"))
	b.putOffFor(119 * time.Second)
	if l, _ := b.stats(); l.Pending != 1 {
		t.Errorf("a line that was said later did not wait: %+v", l)
	}
}

// CQ-13: from a MUC that takes a line every so often nothing is given up, if it takes
// long to say all; nor is it asked much more often than it takes lines.
func TestLinesGoAsFastAsTheMUCTakesThem(t *testing.T) {
	for _, every := range []time.Duration{400 * time.Millisecond, 5 * time.Second, 30 * time.Second} {
		t.Run(every.String(), func(t *testing.T) {
			b, next, answered := newBench(t, nil), start, 0
			for range 20 {
				b.says("crone@h1", words("line"))
			}
			took := 0
			for from := b.now; b.now.Sub(from) < 40*every; b.pass(20 * time.Millisecond) {
				for ; answered < len(b.stanzas); answered++ {
					if b.now.Before(next) {
						b.putOff()
						continue
					}
					next = b.now.Add(every)
					took++
					b.reflect(answered)
				}
			}
			if l, _ := b.stats(); l.Delivered != 20 || l.Pending != 0 || took != 20 {
				t.Errorf("it took %d lines: %+v", took, l)
			}
			if n := len(b.stanzas); n > 70 {
				t.Errorf("it was sent %d", n)
			}
		})
	}
}

// CQ-13: of rooms whose MUCs are on one service, one that puts lines off holds up no other.
func TestAMUCThatPutsLinesOffHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, other := newRig(), jid.MustParse("coven@conference.example.org")
		cfg := Config{Rooms: []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"*"}}, {Name: "Coven", MUC: other, Peers: []string{"*"}}}}
		r.run(t, cfg, func(ctx context.Context, rooms *Rooms) {
			rooms.HandleClique(ctx, clique.Entered{Room: "Coven"})
			rooms.HandleClique(ctx, clique.Joined{Room: "Coven", Members: []string{"witch@h2"}})
			enter(ctx, rooms)
			rooms.HandleServer(ctx, xmppc2s.RoomEntered{Room: other, Nick: "meshgate", Archive: true})
			rooms.HandleServer(ctx, xmppc2s.RoomCaughtUp{Room: other})
			time.Sleep(20 * time.Second)
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 100, Stanza: lanSays("one")})
			synctest.Wait()
			rooms.HandleServer(ctx, xmppc2s.RoomRefused{Room: theMUC, ID: r.muc[0].Attr("id"), Err: errPutOff})
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 101, Stanza: lanSays("two")})
			rooms.HandleClique(ctx, clique.Received{Room: "Coven", From: "witch@h2", FromID: 8, Number: 100, Stanza: lanSays("three")})
			synctest.Wait()
			r.locked(func() {
				var sent []string
				for _, st := range r.muc {
					sent = append(sent, bodyOf(st))
				}
				want(t, "the MUCs", sent, "[crone@h1] one", "[witch@h2] three")
			})
		})
	})
}
