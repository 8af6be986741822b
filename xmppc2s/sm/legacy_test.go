package sm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
)

const ns1 = "xmlns='urn:xmpp:sm:1'"

// founding is an engine with a session of sm:1, at t0.
func founding(t *testing.T, p Policy, b Binding) *Engine {
	t.Helper()
	e := New(p)
	b.Dialect, b.JID = V1, "a@b/c"
	e.Bound(t0, b)
	wantWrite(t, "enable first", e, t0, "<enable "+ns1+" resume='true'/>")
	feed(t, e, t0, "<enabled "+ns1+" id='x' resume='true'/>")
	return e
}

func r1(u int) string { return fmt.Sprintf("<r %s u='%d'/>", ns1, u) }
func a1(h int) string { return fmt.Sprintf("<a %s h='%d'/>", ns1, h) }

// do has the application handle n stanzas.
func do(t *testing.T, e *Engine, n int) {
	t.Helper()
	for range n {
		in := e.Waiting(1)
		if len(in) == 0 {
			t.Fatal("nothing to handle")
		}
		e.Take(1)
		e.Done(in[0].Mark)
	}
}

func resume1(t *testing.T, e *Engine, want string, h *uint64) {
	t.Helper()
	e.Lost(Broken)
	r, ok := e.Resumption()
	if got := string(r.AppendResume(nil)); !ok || got != want {
		t.Fatalf("resumption %v:\n got %s\nwant %s", ok, got, want)
	}
	if err := e.Resumed(t0, r, h, Limits{}); err != nil {
		t.Fatal(err)
	}
}

// SM-06: u on r is ours and strictly increasing; h on a acknowledges up to it.
func TestFoundingRequestsCarryTheNumberOfTheLastStanza(t *testing.T) {
	e := founding(t, Policy{RequestEvery: 2}, Binding{})
	enqueue(t, e, t0, m(1), m(2), m(3))
	wantWrite(t, "asked about all", e, t0, m(1)+m(2)+m(3)+r1(3))
	enqueue(t, e, t0, m(4), m(5))
	wantWrite(t, "one request at a time", e, t0, m(4)+m(5))
	feed(t, e, t0, a1(3))
	wantWrite(t, "the next", e, t0, r1(5))
	if n, _ := e.Queued(); n != 2 {
		t.Errorf("%d queued", n)
	}
	feed(t, e, t0, a1(5))
	if n, _ := e.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

// SM-06: h says up to where, even if it is less than what was asked about; but
// the request still waits for its answer then.
func TestAFoundingAnswerBelowTheRequestAnswersInPart(t *testing.T) {
	e := founding(t, Policy{RequestEvery: 1, AckTimeout: 10 * time.Second}, Binding{})
	enqueue(t, e, t0, m(1), m(2), m(3))
	wantWrite(t, "three", e, t0, m(1)+m(2)+m(3)+r1(3))
	feed(t, e, t0, a1(1))
	if n, _ := e.Queued(); n != 2 {
		t.Errorf("%d queued", n)
	}
	wantWrite(t, "no second request of the same number", e, at(9*time.Second), "")
	if err := e.HandleTimeout(at(10 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("not answered: %v", err)
	}
}

// SM-06: "An <r/> element MUST contain a 'u' attribute and MAY contain an 'h'
// attribute. An <a/> element MUST contain an 'h' attribute and MAY contain a 'u'
// attribute." (v0.7 §4)
func TestFoundingElementsAskAndAnswerAtOnce(t *testing.T) {
	for _, both := range []string{"<r %s u='70' h='1'/>", "<a %s h='1' u='70'/>"} {
		e := founding(t, Policy{}, Binding{})
		enqueue(t, e, t0, m(1), m(2))
		e.AppendWrite(t0, nil)
		feed(t, e, t0, fmt.Sprintf(both, ns1))
		if n, _ := e.Queued(); n != 1 {
			t.Errorf("%s: %d queued", both, n)
		}
		wantWrite(t, both, e, t0, a1(70))
	}
	for _, none := range []string{"<r %s/>", "<a %s/>", "<r %s h='1'/>", "<r %s u='x'/>", "<r %s u='-'/>", "<a %s h='x'/>", "<a %s h='-1'/>",
		"<r %s u='" + strings.Repeat("1", maxU+1) + "'/>"} {
		e := founding(t, Policy{}, Binding{})
		enqueue(t, e, t0, m(1))
		e.AppendWrite(t0, nil)
		if err := e.HandleFrame(t0, fmt.Appendf(nil, none, ns1)); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %v", none, err)
		}
		e.Lost(Broken)
		if _, ok := e.Resumption(); !ok {
			t.Errorf("%s: session lost", none)
		}
	}
}

// SM-06: the examples of v0.7 §7.1 answer with u, which asks. It acknowledges
// nothing, and is answered.
func TestAFoundingAnswerWithNothingButUIsARequest(t *testing.T) {
	e := founding(t, Policy{}, Binding{})
	enqueue(t, e, t0, m(1))
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<a "+ns1+" u='1'/>")
	wantWrite(t, "answered", e, t0, a1(1))
	if n, _ := e.Queued(); n != 1 {
		t.Errorf("%d queued", n)
	}
}

// SM-06, SM-03: "The response MUST contain a value of 'h' that is greater than
// or equal to the 'u' value given in the request" (v0.7 §4). It is given when
// what the request stands behind is handled.
func TestFoundingRequestsAreAnsweredWithTheirNumber(t *testing.T) {
	e := founding(t, Policy{AnswerEvery: 1, AnswerDelay: time.Nanosecond}, Binding{})
	feed(t, e, t0, r1(0))
	wantWrite(t, "nothing before it", e, t0, a1(0))
	feed(t, e, t0, m(1), r1(5), m(2), m(3), r1(9), r1(12), m(4))
	wantWrite(t, "nothing is done yet", e, t0, "")
	do(t, e, 1)
	wantWrite(t, "the first", e, t0, a1(5))
	do(t, e, 1)
	wantWrite(t, "between two requests", e, at(time.Second), "")
	wantWrite(t, "still", e, at(time.Minute/2), "")
	do(t, e, 1)
	wantWrite(t, "the last of two at one place", e, at(time.Minute/2), a1(12))
	do(t, e, 1)
	wantWrite(t, "nobody has asked", e, at(time.Minute/2), "")
	feed(t, e, t0, "<r "+ns1+" u=' 123456789012345678901234567890 '/>")
	wantWrite(t, "an integer without bounds", e, at(time.Minute/2), "<a "+ns1+" h='123456789012345678901234567890'/>")
	if got := string(e.AppendFarewell(nil)); got != "<a "+ns1+" h='123456789012345678901234567890'/>" {
		t.Errorf("farewell %s", got)
	}
}

func TestOneRequestIsKeptForEachPlace(t *testing.T) {
	e := founding(t, Policy{}, Binding{})
	feed(t, e, t0, m(1), r1(1), r1(2), m(2), r1(3), r1(4), r1(5))
	if want := []Request{{"2", 1}, {"5", 2}}; !slices.Equal(e.in.requests, want) {
		t.Errorf("requests %v, want %v", e.in.requests, want)
	}
	resume1(t, e, "<resume "+ns1+" previd='x'/>", nil)
	feed(t, e, t0, m(1), r1(6)) // before the place of the fourth and fifth, and after them
	if want := []Request{{"6", 1}}; !slices.Equal(e.in.requests, want) {
		t.Errorf("requests %v, want %v", e.in.requests, want)
	}
}

// SM-06: u is the last stanza on this stream, not the last there ever was.
func TestUFollowsWhatIsSentAgain(t *testing.T) {
	e := founding(t, Policy{RequestEvery: 1, MaxBatch: len(m(1))}, Binding{})
	enqueue(t, e, t0, m(1), m(2), m(3))
	wantWrite(t, "first", e, t0, m(1)+r1(1))
	wantWrite(t, "second", e, t0, m(2))
	wantWrite(t, "third", e, t0, m(3))
	resume1(t, e, "<resume "+ns1+" previd='x'/>", nil)
	wantWrite(t, "first again", e, t0, m(1)+r1(1))
}

func TestAFoundingPingDoesNotOvertake(t *testing.T) {
	e := founding(t, Policy{Keepalive: time.Minute, MaxBatch: 20}, Binding{})
	feed(t, e, t0, r1(1))
	enqueue(t, e, at(time.Hour), m(1))
	wantWrite(t, "no room", e, at(time.Hour), a1(1))
	wantWrite(t, "asked about the message", e, at(time.Hour), m(1)+r1(1))
}

func TestAFoundingFarewellIsSilentIfNothingWasAsked(t *testing.T) {
	e := founding(t, Policy{}, Binding{})
	feed(t, e, t0, m(1))
	do(t, e, 1)
	if got := string(e.AppendFarewell(nil)); got != "" {
		t.Errorf("farewell %s", got)
	}
}

// SM-05: "if the 'stanzas' attribute has a value of "10" then a server would
// prefer that a connected client request an ack after the client has sent at
// most ten stanzas" (v0.7 §2)
func TestTheServersWishIsHonoured(t *testing.T) {
	for wish, want := range map[int]string{2: m(1) + m(2) + r1(2), 0: m(1) + m(2), 99: m(1) + m(2)} {
		e := founding(t, Policy{RequestEvery: 3}, Binding{Stanzas: wish, Max: 600 * time.Second})
		enqueue(t, e, t0, m(1), m(2))
		wantWrite(t, fmt.Sprint("wish ", wish), e, t0, want)
		if e.MaxResume() != 600*time.Second {
			t.Errorf("max %v", e.MaxResume())
		}
	}
	e := New(Policy{RequestEvery: 3})
	e.Bound(t0, Binding{Dialect: V3, Stanzas: 1})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3'/>")
	enqueue(t, e, t0, m(1))
	wantWrite(t, "a wish of a dialect that is not used", e, t0, m(1))
}

// SM-13: a request needs something to ask about; without, a ping tells whether
// the server is there (v0.7 §1), and it is counted and kept like any stanza.
func TestAFoundingKeepaliveIsAPing(t *testing.T) {
	e := founding(t, Policy{Keepalive: time.Minute, AckTimeout: 10 * time.Second}, Binding{})
	ping := "<iq type='get' id='alive-1'><ping xmlns='urn:xmpp:ping'/></iq>"
	wantWrite(t, "after silence", e, at(time.Minute), ping+r1(1))
	if err := e.HandleTimeout(at(70 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("no answer: %v", err)
	}
	resume1(t, e, "<resume "+ns1+" previd='x'/>", nil)
	wantWrite(t, "sent again", e, t0, ping)
	wantWrite(t, "and asked about", e, at(time.Second), r1(1))
}

// SM-06, SM-07: what is given at a resumption is the last number that was, or
// may be, acknowledged; what came after it comes again.
func TestFoundingResumption(t *testing.T) {
	e := founding(t, Policy{}, Binding{})
	resume1(t, e, "<resume "+ns1+" previd='x'/>", nil)
	feed(t, e, t0, m(1))
	do(t, e, 1)
	resume1(t, e, "<resume "+ns1+" previd='x'/>", nil)
	feed(t, e, t0, m(1), r1(7), m(2), m(3)) // the first again
	do(t, e, 1)                             // the second
	enqueue(t, e, t0, m(11), m(12))
	wantWrite(t, "h, and ours", e, t0, a1(7)+m(11)+m(12))
	resume1(t, e, "<resume "+ns1+" previd='x' h='7'/>", nil)
	wantWrite(t, "nothing is known to have arrived", e, t0, m(11)+m(12))
	feed(t, e, t0, m(2), r1(8), m(3), r1(9), m(4))
	wantWrite(t, "the second is done, the third not", e, t0, a1(8))
	if in := e.Waiting(9); len(in) != 2 { // the third, taken before the connection was lost or not, and the fourth
		t.Fatalf("%d waiting", len(in))
	}
	do(t, e, 2)
	wantWrite(t, "the third", e, t0, a1(9))
	h := uint64(1)
	resume1(t, e, "<resume "+ns1+" previd='x' h='9'/>", &h)
	wantWrite(t, "the rest", e, t0, m(12))
}

// SM-10: integers of sm:1 have no bounds, so nothing wraps; one that is too
// high or goes back is no less wrong.
func TestFoundingNumbersDoNotWrap(t *testing.T) {
	for h, want := range map[uint64]error{
		math.MaxUint32: nil, math.MaxUint32 + 2: nil, math.MaxUint32 + 3: ErrHandledHigh, 1: ErrHandledLow, math.MaxInt64: ErrHandledHigh,
	} {
		e := founding(t, Policy{RequestEvery: 1}, Binding{})
		e.out.acked = math.MaxUint32
		enqueue(t, e, t0, m(1), m(2))
		wantWrite(t, "u", e, t0, m(1)+m(2)+"<r "+ns1+" u='4294967297'/>")
		err := e.HandleFrame(t0, fmt.Appendf(nil, "<a %s h='%d'/>", ns1, h))
		if !errors.Is(err, want) {
			t.Errorf("h=%d: %v", h, err)
		}
		if high, ok := IsTooHigh(err); ok {
			if got := string(e.AppendTooHigh(nil, high.H)); got != "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>" {
				t.Errorf("stream error %s", got)
			}
		}
	}
}

// v0.7 §9: the schema gives host and port where later versions give location.
func TestFoundingLocation(t *testing.T) {
	for attrs, want := range map[string]string{
		"": "", "host='h'": "h", "host='h' port='9'": "h:9", "host='::1' port='9'": "[::1]:9", "host='[::1]'": "[::1]", "port='9'": "",
	} {
		e := New(Policy{})
		e.Bound(t0, Binding{Dialect: V1})
		e.AppendWrite(t0, nil)
		feed(t, e, t0, "<enabled "+ns1+" id='x' resume='1' "+attrs+"/>")
		if got := e.Location(); got != want {
			t.Errorf("%s: %q, want %q", attrs, got, want)
		}
	}
}

// SM-12, SM-06: the number to resume with, and where it stood, survive too.
func TestANewProcessResumesAFoundingSession(t *testing.T) {
	var d disk
	e := founding(t, Policy{Journal: true}, Binding{Stanzas: 2, Max: time.Minute})
	feed(t, e, t0, m(1), r1(7), m(2), m(3))
	do(t, e, 2)
	d.write(e.AppendRecords(nil))
	e = restored(t, &d)
	if e.MaxResume() != time.Minute || e.requestEvery() != 2 {
		t.Errorf("max %v, every %d", e.MaxResume(), e.requestEvery())
	}
	resume1(t, e, "<resume "+ns1+" previd='x' h='7'/>", nil)
	feed(t, e, t0, m(2), m(3))
	if in := e.Waiting(9); len(in) != 1 || string(in[0].Bytes) != m(3) {
		t.Errorf("waiting: %v", in)
	}
}

func TestAnswersToAResumption(t *testing.T) {
	six := uint64(6)
	for _, c := range []struct {
		dialect Dialect
		answer  string
		resumed bool
		h       *uint64
		bad     bool
	}{
		{V3, "<resumed %s previd='x' h='6'/>", true, &six, false},
		{V3, "<resumed %s previd='x'/>", false, nil, true},
		{V3, "<resumed %s previd='x' h='4294967296'/>", false, nil, true},
		{V2, "<resumed %s previd='x'/>", true, nil, false},
		{V1, "<resumed %s previd='x'/>", true, nil, false},
		{V1, "<resumed %s previd='x' h='6'/>", true, &six, false},
		{V1, "<resumed %s previd='x' h='foo'/>", false, nil, true},
		{V3, "<failed %s h='6'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", false, &six, false},
		{V3, "<failed %s/>", false, nil, false},
		{V3, "<failed %s h='-1'/>", false, nil, false},
		{V3, "<enabled %s/>", false, nil, true},
		{V3, "<resumed xmlns='urn:xmpp:sm:2' h='6' a=\"%.0s\"/>", false, nil, true},
	} {
		el, err := stanza.Parse(fmt.Appendf(nil, c.answer, "xmlns='"+string(c.dialect)+"'"), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Resumption{Dialect: c.dialect}.ParseAnswer(el)
		if got.Resumed != c.resumed || errors.Is(err, ErrBadAnswer) != c.bad || (got.H == nil) != (c.h == nil) || got.H != nil && *got.H != *c.h {
			t.Errorf("%s %s: %+v, %v", c.dialect, c.answer, got, err)
		}
	}
}
