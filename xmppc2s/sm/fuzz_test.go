package sm

import (
	"strings"
	"testing"
	"time"
)

// FuzzFrames feeds whatever a server may send: no panic, no h above what came,
// and no acknowledgement of what was not written.
func FuzzFrames(f *testing.F) {
	f.Add("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>\n<message/>\n<r xmlns='urn:xmpp:sm:3'/>\n<a xmlns='urn:xmpp:sm:3' h='1'/>")
	f.Add("<failed xmlns='urn:xmpp:sm:3' h='1'/>\n<iq/>\nLOST\n<presence/>")
	f.Fuzz(func(t *testing.T, script string) {
		e := New(Policy{})
		now := t0
		var received uint32
		e.Bound(now, Binding{Dialect: V3, JID: "a@b/c"})
		for i, line := range strings.Split(script, "\n") {
			now = now.Add(time.Second)
			_, _ = e.Enqueue(now, []byte(m(i)))
			e.AppendWrite(now, nil)
			if line == "LOST" {
				e.Lost(Broken)
				e.Bound(now, Binding{Dialect: V3})
				received = 0
				continue
			}
			if e.State() == Active && KindOf([]byte(line)) != Nonza {
				received++
			}
			queued, _ := e.Queued()
			unacked := e.Unacked()
			_ = e.HandleFrame(now, []byte(line))
			if left, _ := e.Queued(); queued-left > unacked && e.State() == Active {
				t.Fatalf("%d acknowledged, %d were written", queued-left, unacked)
			}
			for in := e.Waiting(99); len(in) > 0; in = e.Waiting(99) {
				e.Take(1)
				e.Done(in[0].Mark)
			}
			if e.in.handled > received {
				t.Fatalf("h=%d of %d", e.in.handled, received)
			}
			_ = e.HandleTimeout(now)
			e.NextTimeout()
		}
	})
}
