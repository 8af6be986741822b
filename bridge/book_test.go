package bridge

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 20, 40)
		at := rapid.Int64Range(0, 1<<45)
		want := entry{
			key: "k", fromLAN: rapid.Bool().Draw(rt, "from the LAN"), end: Outcome(rapid.IntRange(0, int(numOutcomes)-1).Draw(rt, "end")),
			came: at.Draw(rt, "came"), ended: at.Draw(rt, "ended"), passed: at.Draw(rt, "passed"),
			contact: text.Draw(rt, "contact"), peer: linklocal.Instance(text.Draw(rt, "peer")), id: text.Draw(rt, "id"),
			archive: text.Draw(rt, "archive"), text: text.Draw(rt, "text"), why: text.Draw(rt, "why"),
		}
		row := want.appendRow(nil)
		got, ok := parseRow("k", append(bytes.Clone(row), "one day more"...))
		if d := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); !ok || d != "" {
			rt.Fatalf("%v, %s", ok, d)
		}
		for n := range row {
			if _, ok := parseRow("k", row[:n]); ok {
				rt.Fatalf("the first %d of %d bytes are a row", n, len(row))
			}
		}
	})
}

// fastOffice is an office in which nothing is refused for its rate.
func fastOffice() Config {
	cfg := office()
	cfg.Limits.PeerRate, cfg.Limits.ContactRate = Rate{PerMinute: 1e6, Burst: 1e6}, Rate{PerMinute: 1e6, Burst: 1e6}
	return cfg
}

// atHome has alice and bob be there.
func (r *rig) atHome() {
	r.presence("alice@example.org/x", "", "", 0, true)
	r.peer("bob@h2", linklocal.Presence{})
}

// fromArchive lets a message arrive that our server's archive knows by this id.
func (r *rig) fromArchive(archive, xml string) {
	r.srv(xmppc2s.Message{Stanza: r.parse(xml), Done: func() {}, ArchiveID: archive})
}

// IJ-08: a message that was delivered is known when it comes again, after a
// restart and thousands of others, too; and nothing else is taken for it.
func TestIJ08RepeatsAreKnownHoweverOldTheyAre(t *testing.T) {
	const late = "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/>"
	message := func(id, words, extra string) string {
		return fmt.Sprintf("<message from='alice@example.org/x' id='%s' type='chat'><body>%s</body>%s</message>", id, words, extra)
	}
	for _, tc := range []struct {
		archive, xml string
		repeat       bool
	}{
		{"", message("n1", "@bob one", late), true},
		{"a1", message("n1", "@bob one", late), true},
		{"a1", message("n1", "@bob one", ""), true},
		{"", message("n1", "@bob one", ""), false}, // said again
		{"a2", message("n1", "@bob one", late), false},
		{"", message("n1", "@bob another", late), false},
		{"", message("n2", "@bob one", late), false},
		{"a3", message("", "@bob none", late), true},
		{"a4", message("", "@bob none", late), false},
		{"", message("", "@bob none", late), false},
	} {
		r := newRig(t, fastOffice())
		r.online(false)
		r.atHome()
		r.fromArchive("a1", message("n1", "@bob one", ""))
		r.result(nil)
		r.fromArchive("a3", message("", "@bob none", ""))
		r.result(nil)
		for i := range 2 * maxRecent {
			r.fromNet(message(fmt.Sprint("m", i), "@bob x", ""))
			r.result(nil)
		}
		r = r.restarted(fastOffice(), time.Hour)
		r.atHome()
		r.taken()
		r.fromArchive(tc.archive, tc.xml)
		if got := r.trail(); strings.Contains(got, "duplicate") != tc.repeat || strings.Contains(got, "to bob") == tc.repeat {
			t.Errorf("%s in the archive as %q: %s", tc.xml, tc.archive, got)
		}
		r.wantBalanced()
	}
}

// What is on its way is known, too: a session that is lost meanwhile has the
// server send it again.
func TestIJ08RepeatsOfWhatIsOnItsWayAreKnown(t *testing.T) {
	r := ready(t)
	const xml = "<message from='alice@example.org/x' id='n1' type='chat'><body>@bob one</body>%s</message>"
	r.fromNet(fmt.Sprintf(xml, ""))
	r.taken()
	r.fromNet(fmt.Sprintf(xml, "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T12:00:00Z'/>"))
	if got := r.trail(); !strings.Contains(got, "duplicate") {
		t.Error(got)
	}
	r.wantBalanced()
}

// SM-11: a message is delivered when the server has acknowledged it; what comes
// back later moves it, be it after a restart, and its sender is told.
func TestLateBouncesMoveWhatWasDelivered(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := ready(t)
		r.fromLAN(alice, "bob@h2", "<message><body>hi</body></message>")
		st := r.sent()[0]
		for range 2 { // an acknowledgement may be told twice
			r.acknowledge(st)
		}
		if l := r.e.stats().FromLAN; l.Ended[Delivered] != 1 || l.Pending != 0 {
			t.Fatalf("acknowledged: %+v", l)
		}
		carried := uint64(0)
		if restart {
			r, carried = r.restarted(office(), time.Hour), 1
			r.peer("bob@h2", linklocal.Presence{})
			r.e.cfg.Rand.Uint64() // another process makes other ids
			r.fromLAN(alice, "bob@h2", "<message><body>another</body></message>")
			other := r.sent()[0]
			if r.acknowledge(other); other.Attr("id") == st.Attr("id") {
				t.Fatal("two messages have one id")
			}
		}
		r.taken()
		r.fromNetError(st)
		if got := r.trail(); !strings.Contains(got, "not delivered: “hi” (recipient unavailable)") {
			t.Errorf("restart %v: bob reads %s", restart, got)
		}
		r.wantBalanced()
		if l := r.e.stats().FromLAN; l.Ended[Delivered] != carried || l.Ended[Bounced] != 1 || l.Carried != carried {
			t.Errorf("restart %v: %+v", restart, l)
		}
		n, ok := parseRow("", r.past.Get(Passed, []byte(st.Attr("id"))))
		if !ok || n.end != Bounced || n.passed == 0 || n.ended < n.passed || n.peer != "bob@h2" {
			t.Errorf("restart %v: row %+v", restart, n)
		}
	}
}

// SM-11: what the server ends the stream over is set aside, and its sender told.
// It may be tried again, and then arrive.
func TestWhatWasSetAsideMayArriveLater(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", "<message><body>hi</body></message>")
	st := r.sent()[0]
	r.taken()
	for range 2 { // a second attempt
		r.srv(xmppc2s.Undelivered{Stanza: st, Err: xmppc2s.ErrDeadly})
	}
	if got := r.trail(); strings.Count(got, "not delivered: “hi” (the server breaks the connection over it)") != 1 {
		t.Errorf("bob is told: %s", got)
	}
	r.acknowledge(st)
	r.wantBalanced()
	if l := r.e.stats().FromLAN; l.Ended[Aside] != 0 || l.Ended[Delivered] != 1 {
		t.Errorf("%+v", l)
	}
}

// SM-11: a contact may be out of the configuration by the time at which a
// message to it comes back.
func TestBouncesOfFormerContactsAreToldByTheConcierge(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", "<message><body>hi</body></message>")
	st := r.sent()[0]
	cfg := office()
	cfg.Contacts, cfg.PeerContacts = cfg.Contacts[1:], nil
	r = r.restarted(cfg, time.Hour)
	r.peer("bob@h2", linklocal.Presence{})
	r.taken()
	r.srv(xmppc2s.Undelivered{Stanza: st, Err: xmppc2s.ErrExpired})
	if got := r.trail(); !strings.Contains(got, `to bob@h2 from meshgate:concierge: "[meshgate] to alice@example.org: not delivered: “hi”`) {
		t.Errorf("bob is told: %s", got)
	}
	if l := r.e.stats().FromLAN; l.Ended[Expired] != 1 || l.Carried != 1 {
		t.Errorf("%+v", l)
	}
	r.wantBalanced()
}

// What nobody asked for is not forgotten with what was refused.
func TestOldRowsAreForgottenAndRefusedOnesPushNoneOut(t *testing.T) {
	r := ready(t)
	r.fromLAN(alice, "bob@h2", "<message><body>hi</body></message>")
	r.acknowledge(r.sent()[0])
	r.fromLAN(alice, "eve@evil", "<message><body>hi</body></message>")
	if p, n := r.past.len(Passed), r.past.len(Refused); p != 1 || n != 1 {
		t.Fatalf("%d passed, %d refused", p, n)
	}
	r.wait(6 * 24 * time.Hour)
	r.fromLAN(alice, "bob@h2", "<message><body>it waits</body></message>")
	r.wait(36 * time.Hour)
	if p, n, w := r.past.len(Passed), r.past.len(Refused), r.past.len(Waiting); p != 0 || n != 0 || w != 1 {
		t.Errorf("after a week and a half: %d passed, %d refused, %d waiting", p, n, w)
	}
}

// A heldQueue is what waits for the server.
type heldQueue []string

func (q heldQueue) Queue(_ context.Context, limit int) (list []xmppc2s.Queued, total int, err error) {
	for _, id := range q[:min(limit, len(q))] {
		list = append(list, xmppc2s.Queued{ID: id})
	}
	return list, len(q), nil
}

// SM-11: an entry that was carried over has an end, too, when the outbox has
// none for it: it knew of the acknowledgement, and the ledger was killed before
// it did. Whether the last ones ever got to the outbox nobody can tell: their
// sender is told that.
func TestCarriedEntriesThatWaitNoMoreAreEnded(t *testing.T) {
	var many heldQueue
	for i := range 2 * maxAudited {
		many = append(many, fmt.Sprint("other", i))
	}
	for _, tc := range []struct {
		queue                      heldQueue
		pending, delivered, unsure uint64
	}{
		{heldQueue{"b"}, 1, 1, 1},
		{heldQueue{"c"}, 1, 2, 0},
		{heldQueue{"a", "b", "c"}, 3, 0, 0},
		{nil, 0, 0, 3},
		{many, 3, 0, 0}, // of many nobody can tell yet
	} {
		synctest.Test(t, func(t *testing.T) {
			past := &memPast{}
			for i, id := range []string{"a", "b", "c"} {
				n := entry{key: id, fromLAN: true, came: time.Now().UnixMilli() - 100 + int64(i), contact: "alice@example.org", peer: "bob@h2", id: id, text: id}
				past.Write(ShelfChange{Waiting, []byte(id), n.appendRow(nil)})
			}
			r := runHubParts(t, office(), Parts{Past: past, Queue: tc.queue})
			r.begin()
			time.Sleep(2 * auditEvery)
			synctest.Wait()
			l := r.hub.Stats().FromLAN
			if l.Carried != 3 || l.Pending != tc.pending || l.Ended[Delivered] != tc.delivered || l.Ended[Unsure] != tc.unsure || !l.Balanced() {
				t.Errorf("%d wait: %+v", len(tc.queue), l)
			}
			if told := r.lan.bodies(); len(told) != int(tc.unsure) || tc.unsure == 1 && !strings.Contains(told[0], "cannot tell whether") {
				t.Errorf("%d wait: bob was told %q", len(tc.queue), told)
			}
			r.stop()
			if n := past.len(Waiting); n != int(tc.pending) {
				t.Errorf("%d wait: %d rows", len(tc.queue), n)
			}
		})
	}
}

// SM-11: the session ends behind the hub, and what the server acknowledges in
// the end is noted: after the next start nobody is told that it may be lost.
func TestAcknowledgementsAfterTheEndOfTheHubAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past := &memPast{}
		r := runHubParts(t, office(), Parts{Past: past})
		r.begin()
		r.fromLAN("hi")
		synctest.Wait()
		id := r.srv.sent[0].Attr("id")
		r.stop()
		if n := past.len(Waiting); n != 1 {
			t.Fatalf("%d rows wait", n)
		}
		r.hub.HandleServer(t.Context(), xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: id, To: "alice@example.org"}}})
		if l := r.hub.Stats().FromLAN; l.Ended[Delivered] != 1 || l.Pending != 0 || past.len(Waiting) != 0 || past.len(Passed) != 1 {
			t.Errorf("%+v, %d rows wait", l, past.len(Waiting))
		}
	})
}

// Trace: entries of a message, a peer, a contact, and the totals of the rows.
func TestEntriesTellWhatBecameOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, office())
		r.online(false)
		r.atHome()
		r.fromLAN(alice, "bob@h2", "<message><body>hi</body></message>")
		r.fromLAN(alice, "eve@evil", "<message><body>hi</body></message>")
		r.wait(time.Second)
		r.fromNet("<message from='alice@example.org/x' id='n1' type='chat'><body>@bob one</body></message>")
		r.result(nil)
		running := runHubParts(t, office(), Parts{Past: &r.past})
		h := running.hub
		for _, tc := range []struct {
			fits  func(Entry) bool
			limit int
			want  []Outcome
		}{
			{func(Entry) bool { return true }, 10, []Outcome{Pending, RefusedStranger, Delivered}},
			{func(Entry) bool { return true }, 1, []Outcome{Delivered}},
			{func(x Entry) bool { return x.Peer == "bob@h2" }, 10, []Outcome{Pending, Delivered}},
			{func(x Entry) bool { return x.ID == "n1" }, 10, []Outcome{Delivered}},
		} {
			list, err := h.Entries(t.Context(), tc.fits, tc.limit)
			var got []Outcome
			for _, x := range list {
				got = append(got, x.End)
				if x.End == Delivered && (x.FromLAN || x.Contact != "alice@example.org" || x.Ended.Sub(x.Came) != 0 || !x.Came.Equal(r.now)) {
					t.Errorf("entry %+v", x)
				}
			}
			if d := cmp.Diff(tc.want, got); err != nil || d != "" {
				t.Errorf("%v, %s", err, d)
			}
		}
		lan, network := h.Kept()
		if lan.Entered != 2 || lan.Pending != 1 || lan.Ended[RefusedStranger] != 1 || network.Entered != 1 || network.Ended[Delivered] != 1 {
			t.Errorf("kept %+v, %+v", lan, network)
		}
		running.stop()
		if _, err := h.Entries(t.Context(), func(Entry) bool { return true }, 1); err == nil {
			t.Error("entries of a hub that has ended")
		}
	})
}

// IJ-08, SM-11: the row of a message that was written to its peer right before
// a kill is lost with the process. Its mark is not, and it has its entry, which
// knows more if the server sends the message again.
func TestIJ08WhatWasDeliveredRightBeforeAKillHasAnEntry(t *testing.T) {
	marks := &memMarks{}
	message := func(id string) xmppc2s.Message {
		xml := fmt.Sprintf("<message from='alice@example.org/x' id='%s' type='chat'><body>@bob hi</body></message>", id)
		return xmppc2s.Message{Stanza: (&rig{t: t}).parse(xml), Done: func() {}, Place: id + "/session"}
	}
	mark := func(id string) (key string) {
		m := message(id)
		key = seenKey(m.Stanza.Attr("from"), id, "", "@bob hi")
		markDelivered(marks, [2]string{key, placeKey(m)})(true)
		return key
	}
	filed := func(passed string, last ...string) Past {
		past := &memPast{}
		past.Write(ShelfChange{Passed, []byte(passed), []byte("row")})
		for _, key := range last {
			past.Write(ShelfChange{Filed, filedKey, []byte(key)})
		}
		return past
	}
	first := mark("n1")
	if got := unfiled(marks, filed(first)); len(got) != 0 {
		t.Errorf("unfiled: %x", got)
	}
	want := []string{mark("n2"), mark("n3")}
	for name, tc := range map[string]struct {
		past Past
		want []string
	}{
		"the first has a row":                       {filed(first, first), want},
		"the first has had a row":                   {filed("another", first), want},
		"the last has had a row":                    {filed("another", want[1]), nil},
		"the last has had a row, and the first one": {filed(first, want[1]), nil},
		"none has ever had a row":                   {&memPast{}, []string{first, want[0], want[1]}},
		"none has had a row, a forgotten one has":   {filed("another", "forgotten"), []string{first, want[0], want[1]}},
	} {
		if d := cmp.Diff(tc.want, unfiled(marks, tc.past)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}

	r := ready(t)
	for _, key := range want {
		r.e.restore(r.now, key)
		r.e.book.marked = map[string]bool{key: true, placeKey(message("n3")): true}
	}
	r.flush()
	if n := r.past.len(Passed); n != 2 {
		t.Fatalf("%d rows", n)
	}
	for i, want := range []string{"= from network: delivered", "= from network: duplicate"} {
		r.taken()
		r.srv(message("n3"))
		if got := r.trail(); !strings.Contains(got, want) || strings.Contains(got, "to bob@h2") {
			t.Errorf("time %d: %s", i, got)
		}
	}
	n, ok := parseRow("", r.past.Get(Passed, []byte(want[1])))
	if p, rows := r.past.len(Passed), r.past.len(Refused); p != 2 || rows != 1 || !ok || n.contact != "alice@example.org" {
		t.Errorf("%d and %d rows, %+v", p, rows, n)
	}
	r.wantBalanced()
}
