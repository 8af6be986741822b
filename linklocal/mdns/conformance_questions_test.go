package mdns

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The duties about our own questions: RFC 6762 §5, §7 and §10, beside those in
// conformance_test.go.

// browsing is a rig that knows some instances, its question asked a while ago.
func browsing(t testing.TB, labels ...string) *rig {
	r := newRig(t, Config{Browse: []string{testType}})
	r.advance(150 * ms) // the first question
	for _, label := range labels {
		r.receive(answerWith(foreign(label, label, 1)...))
	}
	r.clear()
	return r
}

func ptrTo(label string) record { return ptrRecord(mustType(testType), testName(label)) }

func TestRFC6762_7_1_OurKnownAnswers(t *testing.T) {
	r := browsing(t, "young", "old")
	r.receive(answerWith(ptrTo("old").withTTL(20)))
	r.advance(15 * time.Second)
	var last sentPacket
	for _, p := range r.sent {
		if len(p.Question) == 1 && p.Question[0].Qtype == dns.TypePTR {
			last = p
		}
	}
	if len(last.Answer) != 1 || last.Answer[0].(*dns.PTR).Ptr != string(testName("young")) {
		t.Fatalf("known answers %v, want the one with more than half of its time left", last.Answer)
	}
	if ttl := last.Answer[0].Header().Ttl; ttl < 4480 || ttl > 4499 {
		t.Errorf("TTL %d, want what is left of 4500", ttl)
	}
}

func TestRFC6762_7_2_ManyKnownAnswers(t *testing.T) {
	var labels []string
	for i := range 200 {
		labels = append(labels, fmt.Sprintf("somebody with a name %d", i))
	}
	r := browsing(t, labels...)
	r.advance(4 * time.Second)
	var packets []sentPacket
	for _, p := range r.sent {
		if !p.Response && len(p.Answer) > 0 && p.at < 1500*ms {
			packets = append(packets, p)
		}
	}
	known := 0
	for i, p := range packets {
		known += len(p.Answer)
		if p.Truncated != (i < len(packets)-1) || len(p.Question) != max(0, 1-i) || len(p.raw) > packetSize {
			t.Errorf("packet %d of %d: TC %v, %d questions, %d bytes", i, len(packets), p.Truncated, len(p.Question), len(p.raw))
		}
	}
	if known != 200 || len(packets) < 3 {
		t.Errorf("%d known answers in %d packets", known, len(packets))
	}
	// What we split, we put together.
	peer := publishing(t, service(labels[0]), service("unknown to the asker"))
	for _, p := range packets {
		peer.e.HandlePacket(peer.now, Packet{Data: p.raw, Src: peerAddr})
	}
	peer.advance(time.Second)
	if got := peer.answers(dns.TypePTR); len(got) != 1 || got[0].(*dns.PTR).Ptr != string(testName("unknown to the asker")) {
		t.Errorf("answered %v", got)
	}
}

func TestRFC6762_7_3_QuestionThatAnotherAsked(t *testing.T) {
	for _, c := range []struct {
		what    string
		known   []record
		unicast bool
		want    int // questions of ours
	}{
		{"the same", nil, false, 0},
		{"knows what we know", []record{ptrTo("bob")}, false, 0},
		{"knows more", []record{ptrTo("carol")}, false, 1},
		{"wants its answer by unicast", nil, true, 1},
	} {
		r := browsing(t, "bob")
		r.advance(700 * ms) // the second question is due in 150 to 250 ms
		r.clear()
		q := ask(dns.TypePTR, mustType(testType))
		q.questions[0].unicast = c.unicast
		q.answers = c.known
		r.receive(q)
		r.advance(500 * ms)
		if got := len(r.times(false, dns.TypePTR)); got != c.want {
			t.Errorf("%s: asked %d times ourselves, want %d", c.what, got, c.want)
		}
		r.advance(4 * time.Second)
		if got := len(r.times(false, dns.TypePTR)); got != c.want+1 {
			t.Errorf("%s: the next question was not asked", c.what)
		}
	}
}

func TestRFC6762_10_5_SilenceToOthersQuestions(t *testing.T) {
	silence := func(r *rig, typ uint16, n name) {
		for range 2 {
			r.advance(2 * time.Second)
			r.receive(ask(typ, n))
		}
	}
	r := browsing(t, "bob@h")
	silence(r, dns.TypeSRV, testName("bob@h"))
	r.clear()
	r.advance(9900 * ms)
	r.wantNoEvents("before ten seconds have passed")
	if got := len(r.times(false, dns.TypeSRV)); got < 2 {
		t.Errorf("asked %d times ourselves", got)
	}
	r.advance(200 * ms)
	if ev := wantEvent[Vanished](r, "two questions of another and ours went unanswered"); ev.Instance != "bob@h" {
		t.Errorf("vanished %v", ev)
	}

	r = browsing(t, "bob@h")
	silence(r, dns.TypeSRV, testName("bob@h"))
	r.advance(1500 * ms) // we have asked
	r.receive(answerWith(foreign("bob@h", "bob@h", 1)...))
	r.clear()
	r.advance(30 * time.Second)
	r.wantNoEvents("it answered us")

	r = browsing(t, "bob@h")
	for range 20 {
		r.advance(1500 * ms)
		r.receive(ask(dns.TypePTR, mustType(testType)))
		r.receive(answerWith(ptrTo("bob@h")))
	}
	r.clear()
	r.advance(20 * time.Second)
	r.wantNoEvents("it answered the other")
	r.receive(message{questions: ask(dns.TypePTR, mustType(testType)).questions, answers: []record{ptrTo("bob@h")}})
	r.advance(2 * time.Second)
	r.receive(message{questions: ask(dns.TypePTR, mustType(testType)).questions, answers: []record{ptrTo("bob@h")}})
	r.advance(20 * time.Second)
	r.wantNoEvents("who asked knew it")
}

// TestRFC6762_10_4_ResolveThatFails: LL-11. Who does not answer is asked for a
// while, and then gone.
func TestRFC6762_10_4_ResolveThatFails(t *testing.T) {
	r := browsing(t, "bob@h")
	r.advance(10 * time.Second)
	r.clear()
	r.e.Resolve(r.now, "bob@h", testType)
	r.advance(3100 * ms)
	if ev := wantEvent[Resolved](r, "no answer"); ev.OK || len(r.events) != 1 {
		t.Fatalf("events %v", r.events)
	}
	r.advance(10 * time.Second)
	wantEvent[Vanished](r, "and none since")
}

// TestNullIsAskedForByUnicastFirst: LL-15.
func TestNullIsAskedForByUnicastFirst(t *testing.T) {
	r := browsing(t, "bob@h")
	r.advance(10 * time.Second)
	r.clear()
	start := r.now.Sub(epoch)
	r.e.ResolveNull(r.now, "bob@h", testType)
	r.advance(2500 * ms)
	r.wantTimes("questions", r.times(false, dns.TypeNULL), start, start+time.Second, start+2*time.Second)
	for i, p := range r.sent {
		if qu := p.Question[0].Qclass&topBit != 0; qu != (i == 0) {
			t.Errorf("question %d: by unicast: %v", i, qu)
		}
	}
	r.receive(answerWith(nullRecord(testName("bob@h"), "picture")))
	if ev := wantEvent[NullResolved](r, "it came"); !ev.OK || string(ev.Data) != "picture" {
		t.Errorf("got %+v", ev)
	}
}

// TestQuestionsAboutTheGoneAreDropped: LL-11.
func TestQuestionsAboutTheGoneAreDropped(t *testing.T) {
	r := browsing(t, "bob@h")
	r.advance(10 * time.Second)
	r.receive(answerWith(ptrTo("bob@h").withTTL(0)))
	r.advance(900 * ms)
	null, late := r.e.ResolveNull(r.now, "bob@h", testType), r.e.Resolve(r.now, "bob@h", testType)
	r.advance(150 * ms)
	var ended []uint64
	for _, ev := range r.events {
		switch ev := ev.(type) {
		case NullResolved:
			ended = append(ended, ev.Query)
		case Resolved:
			ended = append(ended, ev.Query)
		}
	}
	slices.Sort(ended)
	if !slices.Equal(ended, []uint64{null, late}) {
		t.Errorf("ended %v with the goodbye, want %d and %d", ended, null, late)
	}
	r.clear()
	r.advance(time.Minute)
	if got := append(r.times(false, dns.TypeNULL), r.times(false, dns.TypeSRV)...); len(got) > 0 {
		t.Errorf("asked about it at %v", got)
	}
}
