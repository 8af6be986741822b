package sm

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

// active is an engine with a session, at t0.
func active(t *testing.T, p Policy, window int) *Engine {
	t.Helper()
	e := New(p)
	e.Bound(t0, Binding{Dialect: V3, JID: "a@b/c", Limits: Limits{Window: window}})
	wantWrite(t, "enable first", e, t0, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1' max='300' location='[::1]:5222'/>")
	return e
}

func feed(t *testing.T, e *Engine, now time.Time, elements ...string) {
	t.Helper()
	for _, s := range elements {
		if err := e.HandleFrame(now, []byte(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func enqueue(t *testing.T, e *Engine, now time.Time, elements ...string) {
	t.Helper()
	for _, s := range elements {
		if _, err := e.Enqueue(now, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantWrite(t *testing.T, why string, e *Engine, now time.Time, want string) {
	t.Helper()
	if got := string(e.AppendWrite(now, nil)); got != want {
		t.Errorf("%s:\n got %s\nwant %s", why, got, want)
	}
}

// resume breaks the connection and gets it back with the server's h.
func resume(e *Engine, how Loss, h uint64) error {
	e.Lost(how)
	r, ok := e.Resumption()
	if !ok {
		return errNotResumption
	}
	return e.Resumed(t0, r, &h, Limits{})
}

func m(n int) string { return fmt.Sprintf("<message id='%d'><body/></message>", n) }

const (
	request = "<r xmlns='urn:xmpp:sm:3'/>"
	answer  = "<a xmlns='urn:xmpp:sm:3' h='%d'/>"
)

func a(h uint32) string { return fmt.Sprintf(answer, h) }

// SM-01, SM-02
func TestEnablingComesFirstAndReadsWhatTheServerGrants(t *testing.T) {
	e := New(Policy{})
	enqueue(t, e, t0, m(1))
	wantWrite(t, "offline", e, t0, "")
	e.Bound(t0, Binding{Dialect: V2, JID: "a@b/c"})
	wantWrite(t, "nothing but enable", e, t0, "<enable xmlns='urn:xmpp:sm:2' resume='true'/>")
	wantWrite(t, "waiting", e, t0, "")
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:2' id='a&amp;b' resume='true' max='300' location='h:1'/>")
	wantWrite(t, "enabled", e, t0, m(1))
	if e.Location() != "h:1" || e.MaxResume() != 300*time.Second {
		t.Errorf("location %q, max %v", e.Location(), e.MaxResume())
	}
	e.Lost(Broken)
	r, ok := e.Resumption()
	if got := string(r.AppendResume(nil)); !ok || got != "<resume xmlns='urn:xmpp:sm:2' previd='a&amp;b' h='0'/>" {
		t.Errorf("resumption %v, %s", ok, got)
	}
}

// SM-01
func TestTheNewestDialectIsChosen(t *testing.T) {
	for offer, want := range map[string]Dialect{
		"urn:xmpp:sm:1 urn:xmpp:sm:2 urn:xmpp:sm:3": V3, "urn:xmpp:sm:1 urn:xmpp:sm:2": V2, "urn:xmpp:sm:1": V1,
		"urn:xmpp:sm:9": None, "": None,
	} {
		got := Newest(func(ns string) bool { return strings.Contains(offer, ns) })
		if got != want {
			t.Errorf("of %q: %q, want %q", offer, got, want)
		}
	}
}

// SM-02
func TestARefusalToEnableIsNotFatal(t *testing.T) {
	e := New(Policy{})
	enqueue(t, e, t0, m(1))
	e.Bound(t0, Binding{Dialect: V3})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
	wantWrite(t, "plain", e, t0, m(1))
	wantWrite(t, "asked behind it", e, at(time.Second), "<iq type='get' id='alive-1'><ping xmlns='urn:xmpp:ping'/></iq>")
	for _, forged := range []string{
		"<iq type='result' id='alive-0'/>", "<iq type='result' id='alive-2'/>", "<iq type='get' id='alive-1'/>",
		"<iq type='result' id='alive-1' from='eve@example.com/x'/>", "<message type='result' id='alive-1'/>",
	} {
		feed(t, e, t0, forged)
		if n, _ := e.Queued(); n != 1 {
			t.Errorf("%s acknowledges", forged)
		}
	}
	feed(t, e, t0, "<iq type='error' id='alive-1'/>")
	if n, _ := e.Queued(); n != 0 || e.State() != Plain {
		t.Errorf("%d queued, state %v", n, e.State())
	}
}

// SM-03, SM-05: h is what is done without a gap, requests are answered at
// once, and again when what was asked about is done.
func TestHIsTheContiguousPrefixOfWhatIsDone(t *testing.T) {
	e := active(t, Policy{}, 0)
	feed(t, e, t0, m(1), "<presence/>", "<iq type='get'/>", "<other xmlns='x'/>", "<message xmlns='urn:other'/>", request)
	wantWrite(t, "nothing done", e, t0, a(0))
	var marks []Mark
	for range 3 {
		in := e.Waiting(1)[0]
		e.Take(1)
		marks = append(marks, in.Mark)
	}
	if more := e.Waiting(1); len(more) > 0 {
		t.Error("a nonza was delivered as a stanza")
	}
	e.Done(marks[2])
	e.Done(marks[1])
	feed(t, e, t0, request)
	wantWrite(t, "a gap at the first", e, t0, a(0))
	e.Done(marks[0])
	e.Done(marks[0]) // twice does no harm
	wantWrite(t, "as promised, without being asked again", e, t0, a(3))
	e.Done(Mark{epoch: 77, number: 4, counted: true})
	wantWrite(t, "a mark of another session", e, t0, "")
}

// SM-05
func TestHIsSentUnaskedNowAndThen(t *testing.T) {
	e := active(t, Policy{AnswerEvery: 3}, 0)
	for i := range 7 {
		feed(t, e, t0, m(i))
		in := e.Waiting(1)[0]
		e.Take(1)
		e.Done(in.Mark)
		want := ""
		if (i+1)%3 == 0 {
			want = a(uint32(i + 1))
		}
		wantWrite(t, fmt.Sprint("after ", i+1), e, t0, want)
	}
}

// SM-05
func TestAcknowledgementsAreRequestedByCountAndTime(t *testing.T) {
	e := active(t, Policy{RequestEvery: 3, RequestDelay: 50 * time.Millisecond}, 0)
	enqueue(t, e, t0, m(1), m(2))
	wantWrite(t, "two", e, t0, m(1)+m(2))
	if got := e.NextTimeout(); !got.Equal(at(50 * time.Millisecond)) {
		t.Errorf("next timeout %v", got.Sub(t0))
	}
	wantWrite(t, "after a while", e, at(50*time.Millisecond), request)
	enqueue(t, e, t0, m(3), m(4), m(5), m(6))
	wantWrite(t, "one request at a time", e, at(60*time.Millisecond), m(3)+m(4)+m(5)+m(6))
	feed(t, e, at(70*time.Millisecond), a(2))
	wantWrite(t, "four since", e, at(70*time.Millisecond), request)
	feed(t, e, at(80*time.Millisecond), a(6))
	if n, bytes := e.Queued(); n != 0 || bytes != 0 {
		t.Errorf("%d stanzas, %d bytes queued", n, bytes)
	}
}

// SM-10
func TestAnHAboveWhatWasSentEndsTheSession(t *testing.T) {
	for _, base := range []uint32{0, math.MaxUint32 - 1} {
		for _, off := range []uint32{6, 1<<31 - 1} {
			e := active(t, Policy{}, 0)
			e.out.acked = uint64(base)
			enqueue(t, e, t0, m(1), m(2), m(3), m(4), m(5))
			e.AppendWrite(t0, nil)
			enqueue(t, e, t0, m(6)) // not written: it cannot have been handled
			err := e.HandleFrame(t0, []byte(a(base+off)))
			high, ok := IsTooHigh(err)
			if !ok || !errors.Is(err, ErrHandledHigh) {
				t.Fatalf("h=%d after %d: %v", base+off, base, err)
			}
			want := fmt.Sprintf("<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"+
				"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='%d' send-count='%d'/></stream:error>", base+off, base+5)
			if got := string(e.AppendTooHigh(nil, high.H)); got != want {
				t.Errorf("stream error %s, want %s", got, want)
			}
			e.Lost(Broken)
			if _, ok := e.Resumption(); ok {
				t.Error("still to be resumed")
			}
			if n, _ := e.Queued(); n != 6 {
				t.Errorf("%d queued", n)
			}
		}
	}
}

// SM-10, SM-11: a server that takes back what it has acknowledged, in <a/> or
// in <resumed/>, does not have our count any more. What it has not acknowledged
// goes into a new session.
func TestAnHThatGoesBackEndsTheSession(t *testing.T) {
	for _, base := range []uint64{0, 1<<32 - 1, 1<<40 - 2} { // h=2 is after the wrap
		for _, resumed := range []bool{false, true} {
			e := active(t, Policy{}, 0)
			e.out.acked = base
			enqueue(t, e, t0, m(1), m(2), m(3))
			e.AppendWrite(t0, nil)
			feed(t, e, t0, a(uint32(base+2)))
			var err error
			if resumed {
				err = resume(e, Broken, uint64(uint32(base+1)))
			} else {
				err = e.HandleFrame(t0, []byte(a(uint32(base+1))))
				e.Lost(Broken)
			}
			if _, high := IsTooHigh(err); !errors.Is(err, ErrHandledLow) || high {
				t.Errorf("h went back, resumed %v: %v", resumed, err)
			}
			if _, ok := e.Resumption(); ok {
				t.Error("still to be resumed")
			}
			if n, _ := e.Queued(); n != 1 {
				t.Errorf("%d queued", n)
			}
		}
	}
}

func TestMalformedAnswersEndTheConnectionButNotTheSession(t *testing.T) {
	for _, attr := range []string{"", "h=''", "h='-1'", "h='4294967296'", "h='x'", "h='0x1'"} {
		e := active(t, Policy{}, 0)
		if err := e.HandleFrame(t0, []byte("<a xmlns='urn:xmpp:sm:3' "+attr+"/>")); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %v", attr, err)
		}
		e.Lost(Broken)
		if _, ok := e.Resumption(); !ok {
			t.Errorf("%s: session lost", attr)
		}
	}
}

// SM-13
func TestASilentServerIsDead(t *testing.T) {
	e := active(t, Policy{AckTimeout: 10 * time.Second, Keepalive: time.Minute}, 0)
	wantWrite(t, "silence", e, at(59*time.Second), "")
	wantWrite(t, "asking whether it is there", e, at(60*time.Second), request)
	if got := e.NextTimeout(); !got.Equal(at(70 * time.Second)) {
		t.Errorf("next timeout %v", got.Sub(t0))
	}
	if err := e.HandleTimeout(at(69 * time.Second)); err != nil {
		t.Errorf("too early: %v", err)
	}
	feed(t, e, at(69*time.Second), "<presence/>") // alive, but does not answer
	if err := e.HandleTimeout(at(78 * time.Second)); err != nil {
		t.Errorf("although something came: %v", err)
	}
	for s := 70; s < 99; s += 5 {
		feed(t, e, at(time.Duration(s)*time.Second), "<presence/>")
	}
	if err := e.HandleTimeout(at(100 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("talks but never answers: %v", err)
	}
	e = active(t, Policy{AckTimeout: 10 * time.Second}, 0)
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	e.AppendWrite(at(time.Second), nil)
	if err := e.HandleTimeout(at(11 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("no answer: %v", err)
	}
}

// SM-13: the same without stream management, by XEP-0199.
func TestWithoutStreamManagementAPingAsks(t *testing.T) {
	e := New(Policy{AckTimeout: 10 * time.Second, Keepalive: time.Minute})
	e.Bound(t0, Binding{})
	wantWrite(t, "ping", e, at(time.Minute), "<iq type='get' id='alive-1'><ping xmlns='urn:xmpp:ping'/></iq>")
	feed(t, e, at(65*time.Second), "<iq type='result' id='alive-1'/>")
	if err := e.HandleTimeout(at(71 * time.Second)); err != nil {
		t.Errorf("although it answered: %v", err)
	}
	e.AppendWrite(at(125*time.Second), nil)
	if err := e.HandleTimeout(at(135 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("no answer: %v", err)
	}
}

func TestTheServerIsNotBlamedForWhatWeDoNotRead(t *testing.T) {
	e := active(t, Policy{AckTimeout: 10 * time.Second, MaxInbound: 2}, 0)
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	wantWrite(t, "request", e, at(time.Second), request)
	feed(t, e, at(time.Second), m(1), m(2))
	if err := e.HandleTimeout(at(100 * time.Second)); err != nil || !e.InboundFull() {
		t.Errorf("full %v: %v", e.InboundFull(), err)
	}
	if got := e.NextTimeout(); !got.Equal(at(105 * time.Second)) {
		t.Errorf("next timeout %v", got.Sub(t0))
	}
	e.Take(1)
	if err := e.HandleTimeout(at(105 * time.Second)); err != nil {
		t.Errorf("just after reading went on: %v", err)
	}
	if err := e.HandleTimeout(at(111 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("and no answer: %v", err)
	}
}

func TestTheWindowBoundsWhatIsInFlight(t *testing.T) {
	one := m(1)
	e := active(t, Policy{}, 2*len(one)+1)
	enqueue(t, e, t0, one, one, one, one, one)
	wantWrite(t, "two and a request at once", e, t0, one+one+request)
	wantWrite(t, "full", e, t0, "")
	feed(t, e, t0, a(1))
	wantWrite(t, "room for one", e, t0, one+request)
	feed(t, e, t0, a(3))
	wantWrite(t, "room for two", e, t0, one+one)
	big := "<message><body>" + strings.Repeat("x", 1000) + "</body></message>"
	enqueue(t, e, t0, big)
	feed(t, e, t0, a(5))
	wantWrite(t, "larger than the window, alone", e, t0, big+request)
}

// SM-07
func TestResumptionSendsTheRestInOrder(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1), m(2), m(3))
	e.AppendWrite(t0, nil)
	enqueue(t, e, t0, m(4))
	if err := resume(e, Broken, 2); err != nil {
		t.Fatal(err)
	}
	wantWrite(t, "the rest, once", e, t0, m(3)+m(4))
	wantWrite(t, "nothing else", e, t0, "")
	if s := e.Stats(); s.Resent != 1 || s.Resumptions != 1 {
		t.Errorf("%+v", s)
	}
}

// SM-09, SM-11
func TestAFreshSessionSendsMessagesAgainAsDelayed(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, "<message id='1'><body/></message>", "<iq type='get' id='2'/>", "<presence/>",
		"<message id='3'><body/></message>", "<message id='4'><delay xmlns='urn:xmpp:delay' stamp='x'/></message>")
	e.AppendWrite(t0, nil)
	enqueue(t, e, t0, "<message id='5'><body/></message>", "<iq type='get' id='6'/>")
	e.Lost(Broken)
	h := uint64(1)
	e.Refused(&h)
	gone := e.Bound(at(time.Hour), Binding{Dialect: V3, JID: "a@b/c", First: [][]byte{[]byte("<presence/>")}})
	e.AppendWrite(at(time.Hour), nil)
	feed(t, e, at(time.Hour), "<enabled xmlns='urn:xmpp:sm:3' id='y' resume='true'/>")
	wantWrite(t, "what is sent again", e, at(time.Hour), "<presence/>"+
		"<message id='3'><body/><delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05.000Z'/></message>"+
		"<message id='4'><delay xmlns='urn:xmpp:delay' stamp='x'/></message>"+
		"<message id='5'><body/></message>")
	if len(gone) != 3 || gone[0].Kind != IQ || gone[1].Kind != Presence || gone[2].Kind != IQ || !errors.Is(gone[0].Reason, ErrStale) {
		t.Errorf("given up: %v", gone)
	}
	feed(t, e, at(time.Hour), a(4)) // numbers begin at 1 again
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

// SM-10
func TestAnUnbelievableHOfAResumptionForgetsTheSession(t *testing.T) {
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	if err := resume(e, Broken, 2); !errors.Is(err, ErrHandledHigh) {
		t.Errorf("resumed: %v", err)
	}
	if _, ok := e.Resumption(); ok {
		t.Error("would be resumed again")
	}
}

func TestKindOf(t *testing.T) {
	for in, want := range map[string]Kind{
		"<message/>": Message, "<message>": Message, "<presence a='b'/>": Presence, "<iq\n/>": IQ, `<iq a=">" xmlns="x"/>`: Nonza,
		"<iq xmlns='jabber:client'/>": IQ, "<iq a='xmlns=\"x\"'/>": IQ, "<iq xmlns = 'y'/>": Nonza, "<x:iq/>": Nonza, "<iqx/>": Nonza,
		"": Nonza, "iq": Nonza, "<iq a=/>": IQ, "<iq xmlns:xmlns='x'/>": IQ, "<message to='very long": Message,
	} {
		if got := KindOf([]byte(in)); got != want {
			t.Errorf("%s is %v, want %v", in, got, want)
		}
	}
}

func TestOversizedStanzasAreCountedAsHandled(t *testing.T) {
	e := active(t, Policy{}, 0)
	e.HandleSkipped(t0, []byte("<message to='x'><body>aaaaaaa"))
	e.HandleSkipped(t0, []byte("<huge xmlns='x'>aaaaaaa"))
	feed(t, e, t0, request)
	wantWrite(t, "counted", e, t0, a(1))
}

func TestOnlyStanzasAreQueued(t *testing.T) {
	if _, err := New(Policy{}).Enqueue(t0, []byte("<r xmlns='urn:xmpp:sm:3'/>")); err == nil {
		t.Error("a nonza was queued")
	}
}

// Nothing is taken before the answer to <enable/>, so it must be read however
// much stands before it, and that must be bounded.
func TestTheAnswerToEnableIsReadBehindAFlood(t *testing.T) {
	e := New(Policy{MaxInbound: 2})
	e.Bound(t0, Binding{Dialect: V3, JID: "a@b/c"})
	for i := range 10 {
		feed(t, e, t0, m(i))
		if e.InboundFull() {
			t.Fatalf("nothing is read after %d stanzas", i+1)
		}
	}
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1'/>")
	if n := len(e.in.queue); n != 2*enablingRoom || e.Stats().Flooded != 2 || !e.InboundFull() {
		t.Errorf("%d stanzas kept, %d left out, full %v", n, e.Stats().Flooded, e.InboundFull())
	}
}

func TestAttr(t *testing.T) {
	for _, tt := range [][3]string{
		{"<message id='m1' to=\"bob@example.org\"><body id='no'/></message>", "id", "m1"},
		{"<message id='m1' to=\"bob@example.org\"><body id='no'/></message>", "to", "bob@example.org"},
		{"<message to='a&apos;b&amp;amp;c@example.org'/>", "to", "a'b&amp;c@example.org"},
		{"<message><body id='no'/></message>", "id", ""},
		{"<presence id='p'/>", "id", "p"},
		{"<presence/>", "id", ""},
		{"noise id='x'", "id", ""},
	} {
		if got := Attr([]byte(tt[0]), tt[1]); got != tt[2] {
			t.Errorf("Attr(%s, %s) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

// SM-02, SM-03: a stream that was begun without stream management gets it when
// nothing is under way, and both ends count from there on.
func TestAStreamWithoutStreamManagementGetsItWhenAllIsQuiet(t *testing.T) {
	e := New(Policy{})
	b := Binding{Dialect: V3, JID: "a@b/c"}
	if e.Enable(t0, b) {
		t.Error("enabled without a stream")
	}
	e.Bound(t0, Binding{JID: "a@b/c"})
	if e.Enable(t0, Binding{JID: "a@b/c"}) {
		t.Error("enabled though the server has none")
	}
	enqueue(t, e, t0, m(1))
	wantWrite(t, "plain", e, t0, m(1))
	wantWrite(t, "asked", e, at(time.Second), "<iq type='get' id='alive-1'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e.Enable(t0, b) {
		t.Error("enabled while something is under way")
	}
	feed(t, e, t0, "<iq type='result' id='alive-1'/>")
	if e.Enable(t0, b) {
		t.Error("enabled while something is not taken")
	}
	e.Take(1)
	enqueue(t, e, t0, m(2))
	if !e.Enable(t0, b) {
		t.Fatal("not enabled")
	}
	wantWrite(t, "nothing but", e, t0, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	feed(t, e, t0, m(3), "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>", m(4))
	wantWrite(t, "what has waited", e, t0, m(2))
	in := e.Waiting(2)
	if len(in) != 2 || in[0].Mark.Counted() || in[1].Mark.Place() != "1/x" {
		t.Errorf("arrived: %+v", in)
	}
	e.Done(in[1].Mark)
	feed(t, e, t0, request, a(1))
	wantWrite(t, "one of theirs", e, t0, a(1))
	if n, _ := e.Queued(); n != 0 {
		t.Error("one of ours is not acknowledged")
	}
}
