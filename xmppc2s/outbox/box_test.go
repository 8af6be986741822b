package outbox

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var start = time.UnixMilli(1e12)

func message(id, to string) string {
	return fmt.Sprintf("<message id='%s' to='%s'><body>%s</body></message>", id, to, id)
}

func state(id, to string) string {
	return fmt.Sprintf("<message id='%s' to='%s'><active xmlns='http://jabber.org/protocol/chatstates'/></message>", id, to)
}

func receipt(id string) string {
	return fmt.Sprintf("<message id='%s' to='bob@example.org'><received xmlns='urn:xmpp:receipts' id='x'/></message>", id)
}

func avatar(id string) string {
	return fmt.Sprintf("<iq id='%s' type='set'>%s</iq>", id, strings.Repeat("x", maxShort))
}

// A fataler is a test of testing or of rapid.
type fataler interface {
	Helper()
	Fatal(...any)
}

func addAll(t fataler, b *Box, at time.Time, stanzas ...string) {
	t.Helper()
	for _, s := range stanzas {
		if err := b.Add(at, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
}

// ids empties the Box.
func ids(b *Box) (list []string) {
	for e, ok := b.Next(); ok; e, ok = b.Next() {
		list = append(list, strings.SplitN(string(e.Data), "'", 3)[1])
	}
	return list
}

func TestEachLaneHasItsTurn(t *testing.T) {
	const bob = "bob@example.org"
	room := "<presence id='join' to='room@example.org/nick'/>"
	said := "<message id='hello' to='room@example.org' type='groupchat'><body>x</body></message>"
	own := "<presence id='own'><show>away</show></presence>"
	for _, tt := range []struct {
		name  string
		after time.Duration // that the words come behind the rest
		first []string
		words []string
		want  []string
	}{
		{"words go first", 0, []string{avatar("av"), own, receipt("r1"), receipt("r2")}, []string{message("m1", bob), message("m2", bob)}, []string{"m1", "m2", "r1", "r2", "own", "av"}},
		{"but not for ever: receipts", 2001 * time.Millisecond, []string{avatar("av"), own, receipt("r1")}, []string{message("m1", bob)}, []string{"r1", "m1", "own", "av"}},
		{"but not for ever: presence", 5001 * time.Millisecond, []string{avatar("av"), own}, []string{message("m1", bob)}, []string{"own", "m1", "av"}},
		{"but not for ever: bulk", 15001 * time.Millisecond, []string{avatar("av")}, []string{message("m1", bob)}, []string{"av", "m1"}},
		{"a room is entered before one speaks there", 0, []string{room}, []string{said}, []string{"join", "hello"}},
		{"what somebody waits for goes first", time.Hour, []string{message("m1", bob)}, []string{message("m2", bob), "<iq id='q' type='get'/>", "<presence id='p' to='a@b' type='probe'/>"}, []string{"q", "p", "m1", "m2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(Config{})
			addAll(t, b, start, tt.first...)
			addAll(t, b, start.Add(tt.after), tt.words...)
			if diff := cmp.Diff(tt.want, ids(b)); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsOutOfDateIsReplaced(t *testing.T) {
	const bob, carol = "bob@example.org", "carol@example.org"
	own := func(id string) string { return "<presence id='" + id + "'/>" }
	for _, tt := range []struct {
		name    string
		stanzas []string
		want    []string
	}{
		{"our presence", []string{own("p1"), own("p2"), own("p3")}, []string{"p3"}},
		{"not presence for somebody", []string{"<presence id='p1' to='a@b/c'/>", "<presence id='p2' to='a@b/c'/>", own("p3")}, []string{"p1", "p2", "p3"}},
		{"chat states of one address", []string{state("s1", bob), state("s2", carol), state("s3", bob)}, []string{"s2", "s3"}},
		{"a chat state that words would overtake", []string{state("s1", bob), state("s2", carol), message("m1", bob)}, []string{"m1", "s2"}},
		{"not the one behind the words", []string{message("m1", bob), state("s1", bob)}, []string{"m1", "s1"}},
		{"no receipt", []string{receipt("r1"), receipt("r2"), message("m1", bob)}, []string{"m1", "r1", "r2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(Config{})
			addAll(t, b, start, tt.stanzas...)
			if diff := cmp.Diff(tt.want, ids(b)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
			if got, want := b.Stats().Superseded, uint64(len(tt.stanzas)-len(tt.want)); got != want {
				t.Errorf("%d superseded, want %d", got, want)
			}
		})
	}
}

func TestANewerPresenceHasTheTurnOfTheOlder(t *testing.T) {
	b := New(Config{})
	addAll(t, b, start, "<presence id='p1'/>")
	addAll(t, b, start.Add(5*time.Second), "<presence id='p2'/>")
	addAll(t, b, start.Add(6*time.Second), message("m1", "bob@example.org"))
	if diff := cmp.Diff([]string{"p2", "m1"}, ids(b)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// Nothing that comes more than the longest head start behind a stanza goes
// before it, however much there is, but for the share of what people say.
func TestNothingStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := New(Config{}), start
		waiting := map[uint64]time.Time{}
		words := 0 // in a row
		for i := range rapid.IntRange(1, 300).Draw(t, "stanzas") {
			now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond)
			s := rapid.SampledFrom([]string{message("m", "bob@example.org"), receipt("r"), avatar("a")}).Draw(t, "stanza")
			addAll(t, b, now, s)
			waiting[b.seq] = now
			if i%3 > 0 { // less than comes
				continue
			}
			e, _ := b.Next()
			delete(waiting, e.Seq)
			if words++; e.Lane != Chat {
				words = 0
			}
			if 0 < words && words <= chatShare {
				continue
			}
			for seq, at := range waiting {
				if e.At.Sub(at) > headStart[Bulk] {
					t.Fatalf("%d of %v goes before %d of %v", e.Seq, e.At, seq, at)
				}
			}
		}
	})
}

// However long a queue there is from before, and of what: a line of chat need
// not wait for all of it, nor all of it for chat.
func TestWordsHaveTheirShareOfALongQueue(t *testing.T) {
	b := New(Config{})
	for range 100 {
		addAll(t, b, start, receipt("r"))
	}
	for range 100 {
		addAll(t, b, start.Add(time.Hour), message("m", "bob@example.org"))
	}
	want := strings.Repeat("rmmm", 33) + "rm" + strings.Repeat("r", 66)
	if diff := cmp.Diff(want, strings.Join(ids(b), "")); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// Whoever floods us with questions gets no more than half of what we send.
func TestAnswersDoNotHoldUpTheTalk(t *testing.T) {
	b := New(Config{})
	answer := "<iq id='q' type='result'>" + strings.Repeat("x", 100) + "</iq>"
	for range 1000 {
		addAll(t, b, start, answer, answer, message("m1", "bob@example.org"))
	}
	talk, answers := 0, 0
	for range 1500 {
		e, _ := b.Next()
		if e.Lane == Chat {
			talk += e.Size
		} else {
			answers += e.Size
		}
		if answers > talk+2*maxAhead {
			t.Fatalf("%d bytes of answers, %d of talk", answers, talk)
		}
	}
	if answers < talk-maxAhead {
		t.Errorf("only %d bytes of answers, %d of talk", answers, talk)
	}
}

func TestOnlyStanzasAreTaken(t *testing.T) {
	b := New(Config{})
	for _, s := range []string{"<r xmlns='urn:xmpp:sm:3'/>", "", "</stream:stream>"} {
		if err := b.Add(start, []byte(s)); !errors.Is(err, ErrNotStanza) {
			t.Errorf("Add(%q) = %v", s, err)
		}
	}
	if b.Restore(1, start, []byte("noise"), false) {
		t.Error("noise is restored")
	}
	if n, bytes := b.Len(); n != 0 || bytes != 0 {
		t.Errorf("%d stanzas of %d bytes", n, bytes)
	}
}

// What the journal has for sure is in memory as far as there is room for it.
func TestOnlySoMuchIsInMemory(t *testing.T) {
	m := message("0123456789", "bob@example.org")
	b := New(Config{Memory: 10 * len(m), Journal: true})
	for range 100 {
		addAll(t, b, start, m)
	}
	_, upTo := b.AppendChanges(nil)
	addAll(t, b, start, m, m)
	if b.memory != 102*len(m) {
		t.Errorf("%d bytes in memory before anything is durable", b.memory)
	}
	b.Durable(upTo)
	if b.memory != 10*len(m) {
		t.Errorf("%d bytes in memory, want %d", b.memory, 10*len(m))
	}
	var last []Entry
	for e, ok := b.Next(); ok; e, ok = b.Next() {
		last = append(last, e)
	}
	if len(last) != 102 || last[0].Data != nil || last[100].Data == nil || last[101].Data == nil || b.memory != 0 {
		t.Errorf("%d entries, %d bytes left", len(last), b.memory)
	}
}

// BenchmarkWaiting is what each of 100,000 stanzas costs that wait, in memory.
func BenchmarkWaiting(b *testing.B) {
	const waiting = 100_000
	m := message(strings.Repeat("a line of text ", 16), "bob@example.org")
	for b.Loop() {
		before := heap()
		box := New(Config{Journal: true})
		changes := make([]Change, 0, waiting)
		for i := range waiting {
			addAll(b, box, start, m)
			if i%1000 == 0 {
				var upTo uint64
				changes, upTo = box.AppendChanges(changes[:0])
				box.Durable(upTo)
			}
		}
		clear(changes)
		_, upTo := box.AppendChanges(nil)
		box.Durable(upTo)
		b.ReportMetric(float64(heap()-before)/waiting, "heap-bytes/stanza")
		b.ReportMetric(float64(len(m)), "bytes/stanza")
		runtime.KeepAlive(box)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkPassing is what the Box adds to the way of a message that need not wait.
func BenchmarkPassing(b *testing.B) {
	box := New(Config{Journal: true})
	m := []byte(message(strings.Repeat("a line of text ", 16), "bob@example.org"))
	b.ReportAllocs()
	for b.Loop() {
		_ = box.Add(start, m)
		if _, ok := box.Next(); !ok || box.Changed() {
			b.Fatal("it waits")
		}
	}
}
