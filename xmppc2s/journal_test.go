package xmppc2s_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

const rosterOfBob = "<iq type='result' id='roster-1' to='alice@example.org/desk'><query xmlns='jabber:iq:roster'>" +
	"<item jid='bob@example.org' subscription='both'/></query></iq>"

// SM-12: another process resumes the session, and asks for what it has missed
// of the contacts without telling them anything.
func TestAnotherProcessResumesTheSession(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	cfg := journaled(s, j)
	cfg.Contacts = []jid.JID{parse("bob@example.org")}
	c, h, stop := start(t, cfg)
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	conn.send("<message id='in1' from='bob@example.org/x'/>")
	h.awaitIDs("in1")
	conn.handled(1)
	cut := j.after(true) // the process ends here
	stop()
	conn.cut()

	cfg.Journal = cut
	c, h, _ = start(t, cfg)
	conn = s.accept()
	if req := conn.resumed(2); !strings.Contains(req, "h='1'") {
		t.Errorf("resumed with %s", req)
	}
	h.await("a resumption", func(ev xmppc2s.Event) bool {
		on, ok := ev.(xmppc2s.Online)
		return ok && on.Resumed && on.JID.String() == "alice@example.org/desk"
	})
	conn.stanza("<message", "m1", "one") // as it was: the session is the same
	conn.stanza("<iq", "jabber:iq:roster")
	conn.send(rosterOfBob)
	conn.stanza("<presence", "to='bob@example.org'", "type='probe'")
	conn.send("<presence from='bob@example.org/x'><status>here</status></presence>")
	h.await("bob's presence", func(ev xmppc2s.Event) bool {
		p, ok := ev.(xmppc2s.ContactPresence)
		return ok && p.Available && p.Status == "here"
	})
	send(t, c, chat("bob@example.org", "two").WithAttr("id", "m2"))
	conn.stanza("<message", "m2") // and no presence of our own before
}

// handleInTheDark has a client handle in1, and then the messages with those ids
// of which nothing gets to the disk any more.
func handleInTheDark(t *testing.T, s *fakeServer, j *memJournal, ids ...string) (h *tail, conn *fakeConn, stop func()) {
	t.Helper()
	_, h, stop = start(t, journaled(s, j))
	conn = s.accept()
	conn.fresh()
	h.await("online", isOnline)
	conn.send("<message id='in1' from='bob@example.org/x'/>")
	conn.handled(1)
	j.cutPower(0)
	for _, id := range ids {
		conn.send("<message id='%s' from='bob@example.org/x'/>", id)
	}
	h.awaitIDs(append([]string{"in1"}, ids...)...)
	<-j.dark
	return h, conn, stop
}

// SM-03, SM-12: what was handled while its row was on its way to the disk is
// known after a kill; after a power cut it may not be, and comes again. A mark
// of another session says nothing.
func TestWhatWasHandledAtTheVeryLastIsKnownAfterAKill(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after func(*memJournal) *memJournal
		h     string
	}{
		{"kill", func(j *memJournal) *memJournal { return j.after(true) }, "h='2'"},
		{"power cut", func(j *memJournal) *memJournal { return j.after(false) }, "h='1'"},
		{"another's mark", func(j *memJournal) *memJournal {
			j = j.after(true)
			j.mark = append(j.mark, 'x')
			return j
		}, "h='1'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, j := newFake(t), newMemJournal()
			_, conn, stop := handleInTheDark(t, s, j, "in2")
			left := tt.after(j)
			stop()
			conn.cut()
			start(t, journaled(s, left))
			conn = s.accept()
			if req := conn.resumed(2); !strings.Contains(req, tt.h) {
				t.Errorf("resumed with %s, want %s", req, tt.h)
			}
		})
	}
}

// SM-09, SM-11, SM-12: the server does not know the session any more. Messages
// are sent as delayed, with their ids; the rest would mean nothing now.
func TestWhatAnotherProcessHasLeftIsSentWithoutItsSession(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	c, h, stop := start(t, journaled(s, j))
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	send(t, c, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "get"}, stanza.Attr{Name: "id", Value: "q"}))
	conn.stanza("<iq", "q")
	stop()
	conn.cut()
	_, h, _ = start(t, journaled(s, j.after(false)))
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ", "previd='the-id'")
	conn.send("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
	conn.bound()
	conn.enabled("another")
	conn.stanza("<message", "m1", "one", "urn:xmpp:delay")
	conn.roundTrip()
	h.awaitAll("a session", func(evs []xmppc2s.Event) bool { return countFresh(evs) == 1 })
}

// SM-11: what waits when the gateway is stopped waits for the next start, and
// nobody is told that it is lost.
func TestAnOrderlyStopLeavesWhatWaits(t *testing.T) {
	for _, closes := range []bool{false, true} {
		s, j := newFake(t), newMemJournal()
		cfg := journaled(s, j)
		cfg.CloseOnStop = closes
		c, h, stop := start(t, cfg)
		conn := s.accept()
		conn.fresh()
		h.await("online", isOnline)
		send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
		conn.stanza("m1")
		conn.cut()
		s.ln.Close()
		stop()
		for _, ev := range h.seen() {
			if ev, ok := ev.(xmppc2s.Undelivered); ok {
				t.Errorf("undelivered: %v", ev)
			}
		}
		if !j.has("m1") || j.has("the-id") == closes {
			t.Errorf("closing %v: message left %v, session left %v", closes, j.has("m1"), j.has("the-id"))
		}
	}
}

var errFullDisk = errors.New("no space left on device")

// A full disk: nothing is sent that is not kept, nothing is accepted, nothing
// that was accepted is lost, and it goes on when there is room.
func TestAFullDiskStopsTheFlow(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	c, h, _ := start(t, journaled(s, j))
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	conn.roundTrip()
	j.setFail(errFullDisk)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	eventually(t, "the failure is known", func() bool { return c.Stats().Unkept > 0 })
	if err := c.Send(chat("bob@example.org", "two")); !errors.Is(err, xmppc2s.ErrNoRoom) {
		t.Errorf("Send = %v", err)
	}
	conn.send("<message id='in1' from='bob@example.org/x'/>")
	j.setFail(nil)
	conn.stanza("<message", "m1")
	h.awaitIDs("in1")
	eventually(t, "there is room", func() bool { return c.Send(chat("bob@example.org", "three").WithAttr("id", "m3")) == nil })
	conn.stanza("<message", "m3")
}

// A message that no server takes is given up in the end, and its sender told.
func TestAMessageThatWaitsForTooLongIsReported(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	cfg := journaled(s, j)
	cfg.MessageTTL = 50 * time.Millisecond
	s.ln.Close()
	c, h, _ := start(t, cfg)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	ev := h.await("undelivered", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Undelivered); return ok }).(xmppc2s.Undelivered)
	if ev.Stanza.Attr("id") != "m1" || !errors.Is(ev.Err, xmppc2s.ErrExpired) {
		t.Errorf("undelivered: %v", ev)
	}
	eventually(t, "the disk is empty", func() bool { return !j.has("m1") })
}

// leaveBehind runs a process that leaves its session, and in it the message m1,
// of which nobody knows whether it has arrived.
func leaveBehind(t *testing.T, s *fakeServer, j *memJournal) {
	t.Helper()
	c, h, stop := start(t, journaled(s, j))
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "one").WithAttr("id", "m1"))
	conn.stanza("m1")
	stop()
	conn.cut()
}

// A session of another address is not resumed, now or later; its messages are sent.
func TestASessionOfAnotherAddressIsForgotten(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	leaveBehind(t, s, j)
	cfg := journaled(s, j.after(true))
	cfg.JID = parse("alice@example.org/other")
	start(t, cfg)
	conn := s.accept()
	conn.login(bindSM3)
	conn.expect("<bind", "<resource>other</resource>")
	if cfg.Journal.(*memJournal).has("the-id") {
		t.Error("the old session is still on the disk")
	}
}

// A journal that cannot be read in part gives what can be read, and no session:
// its numbers could be wrong.
func TestADamagedJournalIsUsedAsFarAsItGoes(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	leaveBehind(t, s, j)
	j = j.after(true)
	j.rows["w\x00"] = []byte("noise")
	start(t, journaled(s, j))
	conn := s.accept()
	conn.login(bindSM3)
	conn.bound()
	conn.enabled("another")
	conn.stanza("<message", "m1", "urn:xmpp:delay")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		<-time.After(time.Millisecond)
	}
}

// A slowDisk takes its time for each write.
type slowDisk struct{ *memJournal }

func (d slowDisk) Write(changes []xmppc2s.Change, done func(error)) {
	time.AfterFunc(200*time.Millisecond, func() { d.memJournal.Write(changes, done) })
}

// SM-03, SM-12: the server is told of nothing, be it in an acknowledgement or
// when the session is resumed, before the disk knows that it was handled.
func TestTheServerIsToldNothingBeforeTheDisk(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	cfg := journaled(s, j)
	cfg.Journal = slowDisk{j}
	_, h, _ := start(t, cfg)
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>") // nothing is under way
	eventually(t, "the disk is idle", func() bool { return !j.has("jabber:iq:roster") })
	conn.send("<message id='in1' from='bob@example.org/x'/><r xmlns='urn:xmpp:sm:3'/>") // the answer follows at once
	conn.handled(1)
	if !j.has(`"Handled":1`) {
		t.Error("acknowledged before it is on the disk")
	}
	conn.send("<message id='in2' from='bob@example.org/x'/>")
	h.awaitIDs("in1", "in2")
	conn.cut()
	conn = s.accept()
	req := conn.resumed(2)
	if !strings.Contains(req, "h='2'") || !j.has(`"Handled":2`) {
		t.Errorf("resumed before it is on the disk: %s", req)
	}
}

// SM-04, SM-11, SM-12: the process ends at any write to the disk. Nothing was
// sent that is not there, what is there arrives exactly once (at least once if
// the server has lost the session, too), and h never goes back.
func TestTheProcessMayEndAtAnyWrite(t *testing.T) {
	for power := range 10 {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, session lost %v", power, lost), func(t *testing.T) {
				t.Parallel()
				endAtWrite(t, power, lost, oneByOne)
			})
			t.Run(fmt.Sprintf("%d, session lost %v, at once", power, lost), func(t *testing.T) {
				t.Parallel()
				endAtWrite(t, power, lost, tooMany)
			})
		}
	}
}

// oneByOne sends a message when the one before has arrived, so that there are
// writes between.
func oneByOne(t *testing.T, c *xmppc2s.Client, s *modelServer, dark <-chan struct{}, ids []string) {
	for _, id := range ids {
		send(t, c, words(id))
		s.await(id, dark, func() bool { return slices.Contains(s.got, id) })
	}
}

// tooMany sends more than may be on its way.
func tooMany(t *testing.T, c *xmppc2s.Client, s *modelServer, dark <-chan struct{}, ids []string) {
	for _, id := range ids {
		send(t, c, words(id))
	}
	last := ids[len(ids)-1]
	s.await(last, dark, func() bool { return slices.Contains(s.got, last) })
}

func endAtWrite(t *testing.T, power int, lost bool, sendAll func(*testing.T, *xmppc2s.Client, *modelServer, <-chan struct{}, []string)) {
	const messages = 6
	s, j := newModelServer(t), newMemJournal()
	var ids []string
	for i := range messages {
		s.tell(fmt.Sprintf("down%d", i))
		ids = append(ids, fmt.Sprintf("up%d", i))
	}
	j.power = power
	cfg := journaled(s.fakeServer, j)
	cfg.Window = 250 // two of them
	c, before, stop := start(t, cfg)
	sendAll(t, c, s, j.dark, ids)
	if lost {
		s.lose()
	}
	s.cutAll()
	j.end()
	stop()
	left := j.after(false)
	want := map[string]int{"end": 1}
	for _, id := range ids {
		if s.counts()[id] > 0 || left.has("id='"+id+"'") || left.has(`id="`+id+`"`) {
			want[id] = 1
		}
	}
	cfg.Journal = left
	c, after, _ := start(t, cfg)
	send(t, c, words("end"))
	s.await("the end", nil, func() bool { return slices.Contains(s.got, "end") })
	got := s.counts()
	if lost {
		for id, n := range got {
			got[id] = min(n, 1)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages that arrived (-want +got):\n%s", diff)
	}
	for i := range messages {
		id := fmt.Sprintf("down%d", i)
		was := func(h *tail) bool {
			return slices.ContainsFunc(h.messages(), func(m xmppc2s.Message) bool { return m.Stanza.Attr("id") == id })
		}
		eventually(t, id+" came down", func() bool { return was(before) || was(after) })
	}
}
