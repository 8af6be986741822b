package xmppc2s_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// full is a client whose session takes nothing more: what is sent waits. The
// server has not acknowledged the message "big".
func full(t *testing.T, cfg xmppc2s.Config, s *fakeServer) (*xmppc2s.Client, *tail, *fakeConn, func()) {
	t.Helper()
	cfg.Window = 2000
	c, h, stop := start(t, cfg)
	conn := s.accept()
	conn.fresh()
	h.await("online", isOnline)
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
	send(t, c, chat("bob@example.org", strings.Repeat("big ", 500)).WithAttr("id", "big"))
	conn.stanza("<message", "big")
	return c, h, conn, stop
}

func receipt(id string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "id", Value: id}, stanza.Attr{Name: "to", Value: "bob@example.org"},
		stanza.New(stanza.NSRcpt, "received", stanza.Attr{Name: "id", Value: "x"}))
}

func broadcast(status string) *stanza.Element {
	return stanza.New(stanza.NSClient, "presence", stanza.New(stanza.NSClient, "status", stanza.Text(status)))
}

func words(id string) *stanza.Element {
	return chat("bob@example.org", "words of "+id).WithAttr("id", id)
}

// While the server takes nothing, answers go ahead of words, these ahead of
// receipts and those ahead of presence, of which there is only the newest.
func TestWhatWaitsIsPutInOrder(t *testing.T) {
	s := newFake(t)
	c, _, conn, _ := full(t, s.config(), s)
	for _, st := range []*stanza.Element{broadcast("one"), receipt("r1"), words("m1"), broadcast("two"), words("m2")} {
		send(t, c, st)
	}
	conn.send("<iq type='get' id='ping' from='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
	var list []xmppc2s.Queued
	eventually(t, "the answer waits behind five", func() bool {
		var err error
		list, _, err = c.Queue(t.Context(), 100)
		return err == nil && len(list) == 6 && list[5].Lane == "control"
	})
	eventually(t, "one presence is superseded", func() bool { return c.Stats().Outbox.Superseded == 1 })
	var lanes []string
	for _, q := range list {
		lanes = append(lanes, string(q.State)+" "+q.Lane)
	}
	if diff := cmp.Diff([]string{"sent ", "waiting light", "waiting chat", "waiting presence", "waiting chat", "waiting control"}, lanes); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	conn.stanza("<iq", "ping")
	conn.stanza("<message", "m1")
	conn.stanza("<message", "m2")
	conn.stanza("<message", "r1")
	conn.stanza("<presence", "two")
	conn.roundTrip()
}

// SM-04, SM-12: of what another process has left only what was given to its
// session may have arrived. The rest is sent for the first time; as delayed, if it
// has lost its session.
func TestWhatWasOnlyWaitingIsNew(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("session lost ", lost), func(t *testing.T) {
			s, j := newFake(t), newMemJournal()
			c, _, conn, stop := full(t, journaled(s, j), s)
			send(t, c, words("m1"))
			send(t, c, broadcast("old"))
			eventually(t, "m1 is on the disk", func() bool { return j.has("m1") && j.has("old") })
			if got := j.kinds("big", "m1", "old"); got != "wqq" {
				t.Errorf("rows of kinds %s", got)
			}
			left := j.after(true)
			stop()
			conn.cut()
			start(t, journaled(s, left))
			conn = s.accept()
			if !lost {
				conn.resumed(3) // the big one has arrived
				conn.stanza("<iq", "jabber:iq:roster")
				if got := conn.stanza("<message", "m1"); strings.Contains(got, "urn:xmpp:delay") {
					t.Errorf("sent for the first time, in the same session: %s", got)
				}
				conn.stanza("<presence", "old")
				return
			}
			conn.login(bindSM3)
			conn.expect("<resume ")
			conn.send("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
			conn.bound()
			conn.enabled("another")
			conn.stanza("<message", "big", "urn:xmpp:delay")
			conn.stanza("<message", "m1", "urn:xmpp:delay")
			conn.roundTrip() // the presence is out of date
		})
	}
}

// kinds are those of the rows with these words.
func (j *memJournal) kinds(words ...string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, w := range words {
		for k, v := range j.rows {
			if strings.Contains(string(v), w) {
				b.WriteByte(k[0])
			}
		}
	}
	return b.String()
}

// What was written before rows had a version is read as it was meant.
func TestRowsOfBeforeAreRead(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	key := binary.BigEndian.AppendUint64([]byte("w"), 1<<32+1)
	value := binary.BigEndian.AppendUint64(nil, uint64(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()))
	j.rows[string(key)] = append(value, "<message id='m1' to='bob@example.org'><body>old</body></message>"...)
	start(t, journaled(s, j))
	conn := s.accept()
	conn.fresh()
	conn.stanza("<message", "m1", "old", "2026-01-02T03:04:05")
}

// A message that was said long before it can be sent says when, in whatever
// session.
func TestWhatHasWaitedForLongSaysSince(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	leaveBehind(t, s, j)
	j = j.after(true)
	key := binary.BigEndian.AppendUint64([]byte("q"), 1)
	value := binary.BigEndian.AppendUint64([]byte{1, 0}, uint64(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()))
	j.rows[string(key)] = append(value, "<message id='m2' to='bob@example.org'><body>old</body></message>"...)
	start(t, journaled(s, j))
	conn := s.accept()
	conn.resumed(3)
	conn.stanza("<iq", "jabber:iq:roster")
	conn.stanza("<message", "m2", "old", "2026-01-02T03:04:05")
}

// SM-11: that a message is given up is told when the disk knows, and not
// before: a process that ends in between gives it up again, and tells it then.
func TestNobodyIsToldBeforeTheDisk(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	s.ln.Close()
	cfg := journaled(s, j)
	cfg.MessageTTL = 200 * time.Millisecond
	c, h, stop := start(t, cfg)
	send(t, c, words("m1"))
	eventually(t, "m1 is on the disk", func() bool { return j.has("m1") })
	j.cutPower(0)
	<-j.dark // it would be gone now
	stop()
	if slices.ContainsFunc(h.seen(), isUndelivered) {
		t.Error("told, though the message is on the disk")
	}
	cfg.Journal = j.after(true)
	_, h, _ = start(t, cfg)
	h.await("undelivered", isUndelivered)
}

// SM-11: however many messages have waited for too long, each sender is told,
// with words that only the disk has.
func TestManyMessagesExpire(t *testing.T) {
	const messages, each = 600, 4 << 10
	s, j := newFake(t), newMemJournal()
	s.ln.Close()
	cfg := journaled(s, j)
	c, _, stop := start(t, cfg)
	for i := range messages {
		send(t, c, chat("bob@example.org", strings.Repeat("x", each)).WithAttr("id", fmt.Sprint("m", i)))
	}
	eventually(t, "some is only on the disk", func() bool { return c.Stats().Outbox.Spilled > messages/2 })
	stop()
	cfg.Journal, cfg.MessageTTL = j.after(true), time.Millisecond
	c, h, _ := start(t, cfg)
	h.awaitUndelivered(messages)
	told := map[string]bool{}
	for _, ev := range h.seen() {
		if ev, ok := ev.(xmppc2s.Undelivered); ok && errors.Is(ev.Err, xmppc2s.ErrExpired) && len(ev.Stanza.Child(stanza.NSClient, "body").Text()) == each {
			told[ev.Stanza.Attr("id")] = true
		}
	}
	if len(told) != messages || c.Stats().Queued != 0 {
		t.Errorf("%d senders were told, %d messages wait", len(told), c.Stats().Queued)
	}
}

func isUndelivered(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Undelivered); return ok }

// awaitUndelivered waits until as many messages were given up, and returns the
// last one.
func (h *tail) awaitUndelivered(n int) (last xmppc2s.Undelivered) {
	h.tb.Helper()
	h.awaitAll(fmt.Sprint(n, " undelivered"), func(evs []xmppc2s.Event) bool {
		seen := 0
		for _, ev := range evs {
			if ev, ok := ev.(xmppc2s.Undelivered); ok {
				last = ev
				seen++
			}
		}
		return seen == n
	})
	return last
}

// find is the one queued stanza of that id.
func find(t *testing.T, c *xmppc2s.Client, id string) xmppc2s.Queued {
	t.Helper()
	list, _, err := c.Queue(t.Context(), 100)
	i := slices.IndexFunc(list, func(q xmppc2s.Queued) bool { return q.ID == id })
	if err != nil || i < 0 {
		t.Fatalf("no %s in %+v, %v", id, list, err)
	}
	return list[i]
}

// SM-11: what is taken out by hand is reported, and does not come back.
func TestWhatWaitsCanBeDropped(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	c, h, conn, _ := full(t, journaled(s, j), s)
	send(t, c, words("m1"))
	send(t, c, words("m2"))
	eventually(t, "they are on the disk", func() bool { return j.has("m1") && j.has("m2") })
	q := find(t, c, "m1")
	if b, err := c.QueuedStanza(t.Context(), q.Seq); err != nil || !strings.Contains(string(b), "words of m1") {
		t.Errorf("QueuedStanza = %s, %v", b, err)
	}
	if err := c.DropQueued(t.Context(), q.Seq); err != nil {
		t.Fatal(err)
	}
	if ev := h.awaitUndelivered(1); ev.Stanza.Attr("id") != "m1" || !errors.Is(ev.Err, xmppc2s.ErrDropped) {
		t.Errorf("undelivered: %+v", ev)
	}
	if j.has("m1") {
		t.Error("told while it is on the disk")
	}
	if err := c.DropQueued(t.Context(), q.Seq); !errors.Is(err, xmppc2s.ErrNotQueued) {
		t.Errorf("dropped twice: %v", err)
	}
	if err := c.DropQueued(t.Context(), find(t, c, "big").Seq); !errors.Is(err, xmppc2s.ErrAlreadySent) {
		t.Errorf("what is sent was dropped: %v", err)
	}
	if err := c.RetryQueued(t.Context(), find(t, c, "m2").Seq); !errors.Is(err, xmppc2s.ErrNotAside) {
		t.Errorf("what waits was retried: %v", err)
	}
	conn.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
	conn.stanza("<message", "m2")
}

// setAside is a client one of whose messages ends the stream wherever it comes
// by, and has been set aside.
func setAside(t *testing.T, s *fakeServer, j *memJournal) (*xmppc2s.Client, *tail, *fakeConn, func()) {
	t.Helper()
	c, h, stop := start(t, journaled(s, j))
	send(t, c, words("deadly"))
	send(t, c, words("harmless"))
	conn := s.hateDeadly()
	h.awaitUndelivered(1)
	return c, h, conn, stop
}

// SM-11: a message over which the server ends the stream is kept, over restarts,
// until somebody says what is to become of it.
func TestADeadlyMessageIsSetAside(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	c, _, conn, stop := setAside(t, s, j)
	q := find(t, c, "deadly")
	if q.State != xmppc2s.Aside || q.Reason == "" || c.Stats().Aside != 1 {
		t.Errorf("queued: %+v", q)
	}
	eventually(t, "it is on the disk", func() bool { return j.kinds("deadly") == "a" })
	stop()
	conn.cut()
	c, h, _ := start(t, journaled(s, j.after(true)))
	q = find(t, c, "deadly")
	if q.State != xmppc2s.Aside {
		t.Errorf("queued: %+v", q)
	}
	if err := c.RetryQueued(t.Context(), q.Seq); err != nil {
		t.Fatal(err)
	}
	conn = s.accept()
	conn.resumed(3)
	for !strings.Contains(conn.next(), "deadly") { // another server may take it
	}
	if slices.ContainsFunc(h.seen(), isUndelivered) {
		t.Error("told again")
	}
}

// What was set aside may be dropped; its sender has been told already.
func TestWhatIsAsideCanBeDropped(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	c, h, _, stop := setAside(t, s, j)
	if err := c.DropQueued(t.Context(), find(t, c, "deadly").Seq); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone from the disk", func() bool { return !j.has("deadly") })
	stop()
	h.awaitUndelivered(1)
}

// SM-04: what does not fit into the memory is read from the disk when its turn
// comes, and arrives once and in order. What the disk has lost is counted.
func TestALongQueueLivesOnTheDisk(t *testing.T) {
	const messages, each = 300, 8 << 10
	s, j := newModelServer(t), newMemJournal()
	cfg := journaled(s.fakeServer, j)
	addr := cfg.Port
	cfg.Port = closedPort(t)
	c, _, stop := start(t, cfg)
	for i := range messages {
		send(t, c, chat("bob@example.org", strings.Repeat("x", each)).WithAttr("id", fmt.Sprint("up", i)))
	}
	eventually(t, "some is only on the disk", func() bool { return c.Stats().Outbox.Spilled > messages/2 })
	stop()
	left := j.after(true)
	for k, v := range left.rows { // the last one
		if strings.Contains(string(v), fmt.Sprintf("'up%d'", messages-1)) {
			left.lose(k)
		}
	}
	cfg.Journal, cfg.Port = left, addr
	c, _, _ = start(t, cfg)
	send(t, c, words("end"))
	s.await("the end", nil, func() bool { return slices.Contains(s.got, "end") })
	var want []string
	for i := range messages - 1 {
		want = append(want, fmt.Sprint("up", i))
	}
	if diff := cmp.Diff(append(want, "end"), s.got); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
	if n := c.Stats().Unreadable; n != 1 {
		t.Errorf("%d unreadable, want 1", n)
	}
}

// lose makes a row unreadable behind the start.
func (j *memJournal) lose(key string) { j.lost = key }

// closedPort is one where nobody listens.
func closedPort(t *testing.T) uint16 {
	other := newFake(t)
	other.ln.Close()
	_, port := split(t, other.ln.Addr().String())
	return port
}
