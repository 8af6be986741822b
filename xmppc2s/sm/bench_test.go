package sm

import (
	"fmt"
	"testing"
)

// BenchmarkOutbound is what a stanza costs from Enqueue to its acknowledgement,
// 32 at a time.
func BenchmarkOutbound(b *testing.B) {
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprint("journal-", journal), func(b *testing.B) {
			e := benchEngine(b, journal)
			st := []byte("<message to='b@example.org' type='chat' id='x'><body>a line of text, as people write it</body></message>")
			var buf []byte
			var records []Record
			b.ReportAllocs()
			for n := 0; n < b.N; n += 32 {
				for range 32 {
					_, _ = e.Enqueue(t0, st)
				}
				buf = e.AppendWrite(t0, buf[:0])
				records = e.AppendRecords(records[:0])
				if err := e.HandleFrame(t0, []byte(a(uint32(n+32)))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInbound is what a stanza costs from the frame to Done.
func BenchmarkInbound(b *testing.B) {
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprint("journal-", journal), func(b *testing.B) {
			e := benchEngine(b, journal)
			st := []byte("<message from='b@example.org' type='chat' id='x'><body>a line of text, as people write it</body></message>")
			var buf []byte
			var records []Record
			b.ReportAllocs()
			for n := 0; n < b.N; n += 32 {
				for range 32 {
					_ = e.HandleFrame(t0, st)
				}
				in := e.Waiting(99)
				e.Take(len(in))
				for _, it := range in {
					e.Done(it.Mark)
				}
				buf = e.AppendWrite(t0, buf[:0])
				records = e.AppendRecords(records[:0])
			}
		})
	}
}

func benchEngine(b *testing.B, journal bool) *Engine {
	e := New(Policy{Journal: journal})
	e.Bound(t0, Binding{Dialect: V3, JID: "a@b/c"})
	e.AppendWrite(t0, nil)
	if err := e.HandleFrame(t0, []byte("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='1'/>")); err != nil {
		b.Fatal(err)
	}
	return e
}
