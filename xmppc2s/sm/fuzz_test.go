package sm

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzFrames feeds whatever a server may send, in each dialect: no panic, no h
// above what came, no acknowledgement of what was not written, no more kept of
// it than there are stanzas, and the disk knows what the engine knows.
func FuzzFrames(f *testing.F) {
	f.Add(byte(3), "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>\n<message/>\n<r xmlns='urn:xmpp:sm:3'/>\n<a xmlns='urn:xmpp:sm:3' h='1'/>")
	f.Add(byte(2), "<enabled xmlns='urn:xmpp:sm:2' id='x' resume='1'/>\n<a xmlns='urn:xmpp:sm:2' h='4294967295'/>\nLOST\n<a xmlns='urn:xmpp:sm:2' h='9'/>")
	f.Add(byte(3), "<failed xmlns='urn:xmpp:sm:3' h='1'/>\n<iq/>\nBIND\n<presence/>")
	f.Add(byte(1), "<enabled xmlns='urn:xmpp:sm:1' id='x' resume='true' host='h' port='1'/>\n<iq/>\n<r xmlns='urn:xmpp:sm:1' u='99999999999999999999' h='1'/>\n<a xmlns='urn:xmpp:sm:1' h='2' u='-7'/>\nLOST\n<r xmlns='urn:xmpp:sm:1' u='+0'/>")
	f.Fuzz(func(t *testing.T, version byte, script string) {
		dialect := []Dialect{V1, V2, V3}[version%3]
		if version <= 3 && version > 0 {
			dialect = []Dialect{V1, V2, V3}[version-1]
		}
		e := New(Policy{Journal: true})
		fz := fuzzed{T: t, e: e, dialect: dialect, now: t0}
		e.Bound(t0, Binding{Dialect: dialect, JID: "a@b/c"})
		for i, line := range strings.Split(script, "\n") {
			fz.step(i, line)
		}
	})
}

type fuzzed struct {
	*testing.T
	e        *Engine
	disk     disk
	dialect  Dialect
	now      time.Time
	received uint32 // counted in this session
}

func (f *fuzzed) step(i int, line string) {
	e := f.e
	f.now = f.now.Add(time.Second)
	_, _ = e.Enqueue(f.now, []byte(m(i)))
	e.AppendWrite(f.now, nil)
	switch line {
	case "LOST":
		e.Lost(Broken)
		if r, ok := e.Resumption(); ok && e.Resumed(f.now, r, nil, Limits{}) == nil {
			return
		}
		fallthrough
	case "BIND":
		e.Lost(Broken)
		e.Bound(f.now, Binding{Dialect: f.dialect})
		f.received = 0
		return
	}
	f.frame([]byte(line))
	for in := e.Waiting(99); len(in) > 0; in = e.Waiting(99) {
		e.Take(1)
		e.Done(in[0].Mark)
	}
	if e.in.handled > f.received || len(e.in.requests) > len(e.in.done)+1 {
		f.Fatalf("h=%d of %d; %d requests for %d stanzas", e.in.handled, f.received, len(e.in.requests), len(e.in.done))
	}
	_ = e.HandleTimeout(f.now)
	e.NextTimeout()
	f.disk.write(e.AppendRecords(nil))
	if diff := f.disk.differs(e); diff != "" {
		f.Fatalf("engine and disk differ:\n%s", diff)
	}
}

func (f *fuzzed) frame(b []byte) {
	if f.e.State() == Active && KindOf(b) != Nonza && f.e.in.skip == 0 {
		f.received++
	}
	before, unacked := slices.Clone(f.e.out.q), f.e.Unacked()
	if f.e.HandleFrame(f.now, b) != nil {
		f.e.Lost(Broken)
	}
	if gone := len(before) - len(f.e.out.q); gone > unacked {
		f.Fatalf("%d acknowledged, %d were written", gone, unacked)
	}
}
