package sm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The server resumes the session but reads nothing: it is given up after the
// second resumption that follows such an end and finds no progress.
func TestAStuckSessionIsGivenUp(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	for range 5 {
		if err := resume(e, Broken, 0); err != nil {
			t.Fatalf("broken connections say nothing about the server: %v", err)
		}
		e.AppendWrite(t0, nil)
	}
	if err := resume(e, Silent, 0); err != nil {
		t.Fatalf("once may be chance: %v", err)
	}
	e.AppendWrite(t0, nil)
	feed(t, e, t0, a(0)) // a farewell that says nothing new
	if err := resume(e, Refusal, 0); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("resumed: %v", err)
	}
	if _, ok := e.Resumption(); ok || e.Stats().Poisoned != 1 {
		t.Error("would be resumed again")
	}

	e = active(t, Policy{}, 0)
	for i := range 10 {
		enqueue(t, e, t0, m(i))
		e.AppendWrite(t0, nil)
		if err := resume(e, Silent, uint64(i+1)); err != nil {
			t.Fatalf("with progress: %v", err)
		}
	}
}

// A server whose answers make no sense is not asked for ever.
func TestASessionOfNonsenseIsGivenUp(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	for i := range maxStuck {
		if err := e.HandleFrame(t0, []byte("<a xmlns='urn:xmpp:sm:3'/>")); !errors.Is(err, ErrBadAnswer) {
			t.Fatal(err)
		}
		if err := resume(e, Broken, 0); (err != nil) != (i == maxStuck-1) {
			t.Fatalf("resumption %d: %v", i+1, err)
		}
	}
	if n, _ := e.Queued(); n != 1 {
		t.Errorf("%d queued", n)
	}
}

// SM-11: one stanza that the server will not have must not keep all others
// from being sent.
func TestAStanzaThatEndsEveryStreamIsGivenUp(t *testing.T) {
	const deadly = 3
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1), m(2), m(deadly), m(4), m(5))
	var sent []string
	var gone []GivenUp
	acked := uint64(0)
	for range 20 { // a server that ends the stream at the deadly one, and forgets the session
		b := string(e.AppendWrite(t0, nil))
		before, _, dies := strings.Cut(b, fmt.Sprintf("<message id='%d'", deadly))
		n := uint64(strings.Count(before, "<message"))
		sent = append(sent, before)
		acked += n
		if !dies {
			if n > 0 {
				feed(t, e, t0, a(uint32(acked)))
			}
			continue
		}
		e.Lost(Refusal)
		e.Refused(&acked)
		gone = append(gone, e.Bound(t0, Binding{Dialect: V3})...)
		acked = 0
		e.AppendWrite(t0, nil)
		feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='y' resume='true'/>")
	}
	all := strings.Join(sent, "")
	for _, i := range []int{1, 2, 4, 5} {
		if n := strings.Count(all, fmt.Sprintf("id='%d'", i)); n != 1 {
			t.Errorf("stanza %d was sent %d times", i, n)
		}
	}
	if len(gone) != 1 || !strings.Contains(string(gone[0].Bytes), "id='3'") || !errors.Is(gone[0].Reason, ErrDeadly) {
		t.Errorf("given up: %v", gone)
	}
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

// What is suspected is sent alone, behind what a new session begins with; when
// it is through, all goes on as usual.
func TestSuspicionEndsWithTheSuspects(t *testing.T) {
	e := active(t, Policy{RequestEvery: 99}, 0)
	enqueue(t, e, t0, m(1), m(2))
	e.AppendWrite(t0, nil)
	enqueue(t, e, t0, m(3), m(4))
	e.Lost(Refusal)
	e.Forget()
	e.Bound(t0, Binding{Dialect: V3, First: [][]byte{[]byte("<presence/>")}})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3'/>")
	for i := range 3 {
		if got := string(e.AppendWrite(t0, nil)); strings.Count(got, "<message")+strings.Count(got, "<presence") != 1 || !strings.HasSuffix(got, request) {
			t.Errorf("not alone: %s", got)
		}
		feed(t, e, t0, a(uint32(i+1)))
	}
	wantWrite(t, "the others", e, t0, m(3)+m(4))
}

// Without stream management nothing says which stanzas the server has taken,
// but it answers pings behind those that are suspected.
func TestADeadlyStanzaIsFoundWithoutStreamManagement(t *testing.T) {
	e := New(Policy{})
	e.Bound(t0, Binding{})
	enqueue(t, e, t0, m(1), m(2), m(3))
	var sent []string
	var gone []GivenUp
	for i := range 20 { // a server that ends the stream at the second
		b := string(e.AppendWrite(at(time.Duration(i)*time.Second), nil))
		sent = append(sent, b)
		if strings.Contains(b, "<message id='2'") {
			e.Lost(Refusal)
			gone = append(gone, e.Bound(t0, Binding{})...)
			continue
		}
		feed(t, e, t0, m(9), "<iq type='result' id='other'/>", "<iq type='result' id='alive-0'/>")
		if i := strings.Index(b, pingID); i >= 0 {
			var n int
			fmt.Sscanf(b[i:], pingID+"%d", &n)
			feed(t, e, t0, fmt.Sprintf("<iq type='error' id='alive-%d'/>", n))
		}
	}
	if len(gone) != 1 || !strings.Contains(string(gone[0].Bytes), "id='2'") || !errors.Is(gone[0].Reason, ErrDeadly) {
		t.Errorf("given up: %v", gone)
	}
	for _, b := range sent[1:] { // the first of them went together
		if strings.Count(b, "<message") > 1 {
			t.Errorf("not alone: %s", b)
		}
	}
	if n, _ := e.Queued(); n != 0 || !strings.Contains(strings.Join(sent[1:], ""), "<message id='3'") {
		t.Errorf("%d queued after %q", n, sent)
	}
}

// SM-12: what speaks against a stanza outlives the process, whichever way the
// stanza came under suspicion: each process sees the server end one stream.
func TestADeadlyStanzaIsFoundByProcessAfterProcess(t *testing.T) {
	var d disk
	e := active(t, Policy{Journal: true}, 0)
	enqueue(t, e, t0, m(1), m(2), m(3))
	var gone []GivenUp
	for range 10 {
		acked := uint64(0)
		for i := range 5 {
			b := string(e.AppendWrite(t0, nil))
			d.write(e.AppendRecords(nil))
			before, _, dies := strings.Cut(b, "<message id='2'")
			acked += uint64(strings.Count(before, "<message"))
			if dies {
				e.Lost(Refusal)
				e.Refused(&acked)
				break
			}
			if i > 0 || acked > 0 {
				feed(t, e, t0, a(uint32(acked)))
			}
		}
		d.write(e.AppendRecords(nil))
		e = restored(t, &d)
		gone = append(gone, e.Bound(t0, Binding{Dialect: V3})...)
		e.AppendWrite(t0, nil)
		feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='y' resume='true'/>")
	}
	if len(gone) != 1 || !strings.Contains(string(gone[0].Bytes), "id='2'") {
		t.Errorf("given up: %v", gone)
	}
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

// Cuts, silence and a server that goes away speak against nobody, however
// often and in the midst of whatever they come.
func TestAnUnluckyLinkStrikesNoStanza(t *testing.T) {
	for _, how := range []Loss{Broken, Silent, Ended} {
		var d disk
		e := active(t, Policy{Journal: true}, 0)
		enqueue(t, e, t0, m(1))
		for range 2 * maxStrikes {
			e.AppendWrite(t0, nil)
			e.Lost(how)
			e.Refused(nil)
			d.write(e.AppendRecords(nil))
			e = restored(t, &d)
			if gone := e.Bound(t0, Binding{Dialect: V3}); len(gone) > 0 || e.out.q[0].Strikes > 0 {
				t.Fatalf("loss %d: given up %v, %d strikes", how, gone, e.out.q[0].Strikes)
			}
			feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='y' resume='true'/>")
		}
	}
}

func TestRotationWaitsForAMomentOfPeace(t *testing.T) {
	e := active(t, Policy{RotateAt: 2}, 0)
	enqueue(t, e, t0, m(1), m(2))
	e.AppendWrite(t0, nil)
	if e.RotationDue() {
		t.Error("due with stanzas outstanding")
	}
	feed(t, e, t0, a(2), m(1))
	if e.RotationDue() {
		t.Error("due with a stanza undone")
	}
	in := e.Waiting(1)[0]
	e.Take(1)
	e.Done(in.Mark)
	if !e.RotationDue() {
		t.Error("not due")
	}
	e.Rotate()
	e.Lost(Broken)
	if _, ok := e.Resumption(); ok {
		t.Error("would be resumed")
	}
}
