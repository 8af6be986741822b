package sm

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// What XEP-0198 v1.6.3 asks of a client and no other test shows. Where the
// founding document differs see legacy_test.go.

// SM-02: "a client SHALL only make at most one attempt to enable stream
// management" (§3)
func TestEnableIsSentOncePerStream(t *testing.T) {
	for _, answer := range []string{"<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>", "<failed xmlns='urn:xmpp:sm:3'/>"} {
		e := New(Policy{})
		var all []byte
		e.Bound(t0, Binding{Dialect: V3})
		for i := range 5 {
			all = e.AppendWrite(at(time.Duration(i)*time.Minute), all)
			if i == 1 {
				feed(t, e, t0, answer, answer)
			}
		}
		if n := strings.Count(string(all), "<enable "); n != 1 {
			t.Errorf("%s: enabled %d times", answer, n)
		}
	}
	e := active(t, Policy{}, 0)
	if err := resume(e, Broken, 0); err != nil {
		t.Fatal(err)
	}
	wantWrite(t, "none in a resumed stream", e, t0, "")
}

// SM-02: "it MUST include a 'resume' attribute set to a value of "true" or "1""
// (§3). Without, an id means nothing.
func TestASessionIsResumedOnlyIfTheServerSaysSo(t *testing.T) {
	for attrs, want := range map[string]bool{
		"id='x' resume='true'": true, "id='x' resume='1'": true, "id='x'": false, "id='x' resume='false'": false,
		"id='x' resume='0'": false, "resume='true'": false, "": false,
	} {
		e := New(Policy{})
		e.Bound(t0, Binding{Dialect: V3})
		e.AppendWrite(t0, nil)
		feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' "+attrs+"/>")
		enqueue(t, e, t0, m(1))
		wantWrite(t, "acknowledgements work either way", e, t0, m(1))
		e.Lost(Broken)
		if _, ok := e.Resumption(); ok != want {
			t.Errorf("%s: to be resumed %v", attrs, ok)
		}
		if n, _ := e.Queued(); n != 1 {
			t.Errorf("%s: %d queued", attrs, n)
		}
	}
}

// SM-02: max is only a preference; what cannot be read is not said.
func TestMaxIsReadWithCare(t *testing.T) {
	for attr, want := range map[string]time.Duration{
		"max='600'": 600 * time.Second, "": 0, "max='-1'": 0, "max='x'": 0, "max='99999999999'": 0, "max='2147483647'": math.MaxInt32 * time.Second,
	} {
		e := New(Policy{})
		e.Bound(t0, Binding{Dialect: V3})
		e.AppendWrite(t0, nil)
		feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1' "+attr+"/>")
		if got := e.MaxResume(); got != want {
			t.Errorf("%s: %v", attr, got)
		}
	}
}

// SM-03: the start race. "The counter for the received stanzas ('h') is set to
// zero and started after receiving either <enable/> or <enabled/>" (§4): what
// comes before is delivered, not counted, and not answered for.
func TestCountingStartsBehindEnabled(t *testing.T) {
	e := New(Policy{})
	enqueue(t, e, t0, m(1))
	e.Bound(t0, Binding{Dialect: V3, First: [][]byte{[]byte("<iq type='get' id='1'/>")}})
	feed(t, e, t0, "<iq type='result' id='bind'/>", request, a(9)) // neither is ours to answer yet
	wantWrite(t, "nothing but enable", e, t0, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	feed(t, e, t0, "<presence/>", "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1'/>", "<presence/>", request)
	do(t, e, 3)
	wantWrite(t, "one counted; our first two", e, t0, a(1)+"<iq type='get' id='1'/>"+m(1))
	feed(t, e, t0, a(2))
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

// SM-10: "the value of 'h' SHALL be reset from 2^32-1 back to zero" (§4), in
// both directions, in <a/> and over a resumption.
func TestCountersWrapAround(t *testing.T) {
	e := active(t, Policy{}, 0)
	e.out.acked, e.in.handled, e.in.told = 5<<32-2, math.MaxUint32-1, math.MaxUint32-1
	enqueue(t, e, t0, m(1), m(2), m(3), m(4))
	e.AppendWrite(t0, nil)
	feed(t, e, t0, m(1), m(2), m(3), request)
	do(t, e, 2)
	wantWrite(t, "h is zero", e, t0, a(0))
	feed(t, e, t0, a(math.MaxUint32))
	if n, _ := e.Queued(); n != 3 {
		t.Errorf("%d queued", n)
	}
	e.Lost(Broken)
	r, _ := e.Resumption()
	if want := "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"; string(r.AppendResume(nil)) != want {
		t.Errorf("resume %s", r.AppendResume(nil))
	}
	h := uint64(1)
	if err := e.Resumed(t0, r, &h, Limits{}); err != nil {
		t.Fatal(err)
	}
	wantWrite(t, "the fourth", e, t0, m(4))
	feed(t, e, t0, m(3), request)
	do(t, e, 1)
	wantWrite(t, "h is one", e, t0, a(1))
	if e.out.acked != 5<<32+1 {
		t.Errorf("acknowledged %d", e.out.acked)
	}
}

// SM-04: an unrequested <a/> is as good as any; one that says nothing new says
// nothing (§4).
func TestUnrequestedAcknowledgementsCount(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1), m(2))
	e.AppendWrite(t0, nil)
	for i, want := range []int{2, 1, 1, 0, 0} {
		feed(t, e, t0, a(uint32([]int{0, 1, 1, 2, 2}[i])))
		if n, _ := e.Queued(); n != want {
			t.Errorf("%d queued, want %d", n, want)
		}
	}
}

// SM-05: what is handled is told before silence: it may be the last that the
// server hears of us.
func TestHIsToldBeforeSilence(t *testing.T) {
	e := active(t, Policy{AnswerDelay: time.Second}, 0)
	feed(t, e, t0, m(1), m(2))
	do(t, e, 1)
	wantWrite(t, "not at once", e, t0, "")
	if got := e.NextTimeout(); !got.Equal(at(time.Second)) {
		t.Errorf("next timeout %v", got.Sub(t0))
	}
	do(t, e, 1)
	wantWrite(t, "a second after the first", e, at(time.Second), a(2))
	wantWrite(t, "once", e, at(3*time.Second), "")
	feed(t, e, at(3*time.Second), m(3), request)
	do(t, e, 1)
	wantWrite(t, "asked for, it is told", e, at(3*time.Second), a(3))
	wantWrite(t, "and not again", e, at(5*time.Second), "")
}

func TestAResumptionTellsH(t *testing.T) {
	e := active(t, Policy{AnswerDelay: time.Second}, 0)
	feed(t, e, t0, m(1))
	do(t, e, 1)
	if err := resume(e, Broken, 0); err != nil {
		t.Fatal(err)
	}
	e.AppendWrite(t0, nil)
	wantWrite(t, "the server knows", e, at(time.Minute/2), "")
}

// What came before counting began will not come again; what was counted will,
// or is in the server's hands.
func TestUncountedMessagesOutliveTheirSession(t *testing.T) {
	e := New(Policy{})
	e.Bound(t0, Binding{Dialect: V3})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, m(1), "<presence/>", "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1'/>", m(2))
	e.Lost(Broken)
	e.Refused(nil)
	e.Bound(t0, Binding{Dialect: V3})
	if in := e.Waiting(9); len(in) != 1 || string(in[0].Bytes) != m(1) || e.in.bytes != len(m(1)) {
		t.Errorf("waiting: %v", in)
	}
}

// SM-05: also while nothing more is read, for that is when the server's queue
// grows.
func TestHIsToldWhileNothingIsRead(t *testing.T) {
	e := active(t, Policy{AnswerDelay: time.Second, MaxInbound: 1}, 0)
	feed(t, e, t0, m(1))
	e.Done(e.Waiting(1)[0].Mark)
	e.AppendWrite(t0, nil)
	if got := e.NextTimeout(); !e.InboundFull() || !got.Equal(at(time.Second)) {
		t.Errorf("full %v, next timeout %v", e.InboundFull(), got.Sub(t0))
	}
	wantWrite(t, "told", e, at(time.Second), a(1))
}

// SM-03: "It is RECOMMENDED that initiating entities … send an <a/> element
// right before they gracefully close the stream" (§4); and what comes while it
// closes still counts.
func TestAcknowledgementsWhileClosing(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1), m(2))
	e.AppendWrite(t0, nil)
	feed(t, e, t0, m(1))
	do(t, e, 1)
	if got := string(e.AppendFarewell(nil)); got != a(1) {
		t.Errorf("farewell %s", got)
	}
	feed(t, e, t0, a(1), m(2), a(2))
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
	e.Lost(Ended)
	if got := string(e.AppendFarewell(nil)); got != "" {
		t.Errorf("farewell of nobody: %s", got)
	}
	feed(t, e, t0, a(2)) // late, from the connection that is gone
}

// SM-07: the resume race. What is handled after <resume/> was written is told
// as soon as the stream is resumed, and what the server repeats of it is known.
func TestWhatIsHandledDuringAResumptionIsNotDeliveredTwice(t *testing.T) {
	e := active(t, Policy{}, 0)
	feed(t, e, t0, m(1), m(2))
	in := e.Waiting(2)
	e.Take(2)
	e.Lost(Broken)
	r, _ := e.Resumption()
	e.Done(in[0].Mark)
	enqueue(t, e, t0, m(11))
	h := uint64(0)
	if err := e.Resumed(t0, r, &h, Limits{}); err != nil || r.H != "0" {
		t.Fatal(r.H, err)
	}
	wantWrite(t, "what has become of it", e, t0, a(1)+m(11))
	feed(t, e, t0, m(1), m(2), m(3))
	if left := e.Waiting(9); len(left) != 1 || string(left[0].Bytes) != m(3) {
		t.Errorf("waiting: %v", left)
	}
	e.Done(in[1].Mark)
	do(t, e, 1)
	feed(t, e, t0, request)
	wantWrite(t, "all three", e, t0, a(3))
}

// SM-07: an attempt that comes too late, or for another session, changes nothing.
func TestOnlyTheSessionAskedForIsResumed(t *testing.T) {
	e := active(t, Policy{}, 0)
	h := uint64(0)
	if err := e.Resumed(t0, Resumption{ID: "x"}, &h, Limits{}); !errors.Is(err, errNotResumption) {
		t.Errorf("while active: %v", err)
	}
	e.Lost(Broken)
	if err := e.Resumed(t0, Resumption{ID: "y"}, &h, Limits{}); !errors.Is(err, errNotResumption) {
		t.Errorf("another one: %v", err)
	}
	if _, ok := e.Resumption(); !ok {
		t.Error("it is lost")
	}
}

// SM-09, SM-11: the h of <failed/> counts like any, unless it cannot be true;
// then, as without, everything is sent again.
func TestTheHOfAFailedResumption(t *testing.T) {
	for h, want := range map[int]int{-1: 2, 1: 2, 2: 1, 3: 0, 4: 2, 0: 2, math.MaxUint32: 2} {
		e := active(t, Policy{}, 0)
		enqueue(t, e, t0, m(1), m(2), m(3))
		e.AppendWrite(t0, nil)
		feed(t, e, t0, a(1))
		e.Lost(Broken)
		if wire := uint64(h); h >= 0 {
			e.Refused(&wire)
		} else {
			e.Refused(nil)
		}
		if n, _ := e.Queued(); n != want {
			t.Errorf("h=%d: %d queued, want %d", h, n, want)
		}
		if _, ok := e.Resumption(); ok {
			t.Errorf("h=%d: would be resumed", h)
		}
		var again []byte
		e.Bound(t0, Binding{Dialect: None})
		for range 3 {
			again = e.AppendWrite(t0, again)
		}
		if n := strings.Count(string(again), "<delay"); n != want {
			t.Errorf("h=%d: %s", h, again)
		}
		for i := 3; i > 3-want; i-- { // by their ids a receiver knows them again
			if n := strings.Count(string(again), fmt.Sprintf("<message id='%d'>", i)); n != 1 {
				t.Errorf("h=%d: %d times message %d", h, n, i)
			}
		}
	}
}

// SM-03: what is done late, for a session that is over, counts nothing in the next.
func TestDoneOfAnotherSessionCountsNothing(t *testing.T) {
	e := active(t, Policy{}, 0)
	feed(t, e, t0, m(1))
	old := e.Waiting(1)[0].Mark
	e.Lost(Broken)
	e.Refused(nil)
	e.Bound(t0, Binding{Dialect: V3})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='y' resume='1'/>", m(2))
	e.Done(old)
	feed(t, e, t0, request)
	wantWrite(t, "nothing is handled", e, t0, a(0))
}

// What was queued before there was any session is for the first.
func TestAllKindsWaitForTheFirstSession(t *testing.T) {
	e := New(Policy{})
	enqueue(t, e, t0, "<iq type='get' id='1'/>", "<presence to='room@x/n'/>")
	if gone := e.Bound(t0, Binding{}); len(gone) > 0 {
		t.Errorf("given up: %v", gone)
	}
	wantWrite(t, "as it was", e, t0, "<iq type='get' id='1'/><presence to='room@x/n'/>")
}

// SM-09, SM-11: what becomes of each kind in a new session.
func TestEachKindHasItsWayIntoANewSession(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, "<presence><show>away</show></presence>", "<presence to='room@x/n'/>", "<presence type='unavailable' to='y'/>",
		"<presence to='b@x' type='subscribed'/>", "<presence type=\"unsubscribe\" to='c@x'/>",
		"<iq type='get' id='1'/>", "<iq type='result' id='2'/>", "<message type='groupchat' id='3'></message>")
	e.Lost(Broken)
	e.Refused(nil)
	gone := e.Bound(t0, Binding{Dialect: None, First: [][]byte{[]byte("<presence/>")}})
	wantWrite(t, "newest presence, subscriptions, messages", e, t0,
		"<presence/><presence to='b@x' type='subscribed'/><presence type=\"unsubscribe\" to='c@x'/><message type='groupchat' id='3'></message>")
	var kinds []Kind
	for _, g := range gone {
		kinds = append(kinds, g.Kind)
		if !errors.Is(g.Reason, ErrStale) {
			t.Errorf("%s: %v", g.Bytes, g.Reason)
		}
	}
	if want := []Kind{Presence, Presence, Presence, IQ, IQ}; fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("given up: %v, want %v", kinds, want)
	}
}
