package rmulticast

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// were members, and then we join as any newcomer.
func TestUselessSnapshots(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	c := room[2]
	c.tell(0, "in the snapshot")
	good := c.Snapshot()
	config := func(snapshot []byte) Config {
		return Config{Name: "c", Rand: rand.New(rand.NewPCG(1, 1)), Resume: snapshot}
	}
	phaseOf := func(cfg Config, at time.Time) phase {
		t.Helper()
		e := New(cfg)
		if err := e.Join(at); err != nil {
			t.Fatal(err)
		}
		if p := e.phase; p != resuming && (len(e.senders) > 0 || e.me != nil || e.cached != 0 || e.held != 0) {
			t.Errorf("it is %v and knows %d", p, len(e.senders))
		}
		return e.phase
	}
	if p := phaseOf(config(good), l.now.Add(4*time.Minute)); p != resuming {
		t.Fatalf("with a good one it is %v", p)
	}
	for n := range good {
		if p := phaseOf(config(good[:n]), l.now); p != connecting {
			t.Errorf("with %d bytes it is %v", n, p)
		}
		bad := slices.Clone(good)
		bad[n] ^= 0x10
		if p := phaseOf(config(bad), l.now); p != connecting {
			t.Errorf("with byte %d changed it is %v", n, p)
		}
	}
	other := config(good)
	other.Name = "d"
	short := config(good)
	short.ResumeAge = time.Minute
	alone := newLAN(t, 1)
	n := alone.start("c")
	alone.run(10 * time.Second)
	for what, p := range map[string]phase{
		"old":                phaseOf(config(good), l.now.Add(4*time.Minute+time.Second)),
		"older than allowed": phaseOf(short, l.now.Add(time.Minute+time.Second)),
		"of the future":      phaseOf(config(good), l.now.Add(-2*time.Minute)),
		"of another":         phaseOf(other, l.now),
		"of nobody":          phaseOf(config(n.Snapshot()), alone.now),
	} {
		if p != connecting {
			t.Errorf("with one that is %s it is %v", what, p)
		}
	}
}

// What a snapshot holds is bounded: by what nobody has of ours, and by what is held.
func TestSnapshotIsSmall(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	a := room[0]
	l.drop = func(_, _ *node, p *Packet) bool { return p.Type.reliable() }
	for i := range 100 {
		a.tell(0, fmt.Sprint(i, strings.Repeat("x", 1000)))
		l.run(10 * time.Millisecond)
	}
	if n := len(a.Snapshot()); n < keptOwn/2 || n > keptOwn+1000 {
		t.Errorf("it has %d bytes", n)
	}
	l.drop = nil
	p := l.enterPuppet(100, room...)
	for i := range 50 {
		p.data(StreamID(i), Start, 1<<20, strings.Repeat("y", 1300))
		for range 6 {
			p.data(StreamID(i), 0, 1<<20, strings.Repeat("y", 1300))
		}
	}
	l.run(5 * time.Second)
	if n := len(a.Snapshot()); n < keptHeld/2 || n > keptHeld+6000 {
		t.Errorf("with messages under way it has %d bytes", n)
	}
	b := room[1]
	b.killFor(time.Second)
	l.run(6 * time.Second)
	if b.log[len(b.log)-2] != "resumed" || b.Stats().Held < keptHeld/2 {
		t.Errorf("b saw %q and holds %+v", b.log, b.Stats())
	}
	p.data(49, Start|End, 3, "yes")
	l.run(time.Second)
	want(t, "what b was told of it", b.texts("puppet"), "yes")
}

// Leave, and a restart, take the snapshot back; before anybody can be left.
// Whatever others do, a snapshot is not larger than whoever keeps it has to expect;
// and a full room in the midst of a join phase has one.
func TestSnapshotsHaveABound(t *testing.T) {
	full := func(failures, messages int) *still {
		st := &still{version: snapshotVersion, name: strings.Repeat("n", 63), self: 1, next: 1 << 31, state: joining}
		for i := range maxMembers {
			s := &sender{id: ^SenderID(i), named: true, name: strings.Repeat("n", 63), state: running, nextOut: 1 << 31}
			for range messages {
				m := &message{start: 1 << 31, end: 1<<31 + 1, total: 1 << 10, size: 1 << 10, parts: [][]byte{make([]byte, 1<<10)}}
				for j := range maxMembers {
					m.depends = append(m.depends, Entry{^SenderID(j), 1 << 31})
				}
				s.ready = append(s.ready, m)
			}
			st.senders = append(st.senders, s)
		}
		for i := range maxMembers + failures {
			r := &record{id: ^SenderID(i), declared: make(map[SenderID]bool)}
			for j := range maxMembers + failures {
				r.declared[^SenderID(j)] = true
			}
			st.records = append(st.records, r)
			st.live = append(st.live, r.id)
		}
		for range 11 {
			st.own = append(st.own, make([]byte, maxReceived))
		}
		return st
	}
	if n := len(full(0, 0).bytes()); n == 0 {
		t.Error("a room of 100 members has none")
	} else {
		t.Logf("a room of 100 members, in a join phase: %d bytes", n)
	}
	if n := len(full(maxFailures, 0).bytes()); n == 0 || n > MaxSnapshot {
		t.Errorf("with failures: %d bytes", n)
	} else {
		t.Logf("with 50 failures: %d bytes", n)
	}
	a := &archive{}
	full(0, keptReady).archive(a)
	if !a.bad || len(a.b) > MaxSnapshot {
		t.Errorf("with messages under way: %d bytes", len(a.b))
	}
}

func TestSnapshotTakenBack(t *testing.T) {
	l, room := talkers(t, "a", "b", "c")
	if len(room[2].crash.snapshot) == 0 || room[2].Snapshot() == nil {
		t.Fatal("there is none")
	}
	room[2].quit()
	if s := room[2].crash.snapshot; len(s) > 0 || room[2].Snapshot() != nil {
		t.Errorf("while it leaves it has %x", s)
	}
	l.run(5 * time.Second)
	room[1].restart(l.now)
	room[1].flush()
	if s := room[1].crash.snapshot; len(s) > 0 {
		t.Errorf("while it restarts it has %x", s)
	}
}

// Whatever a snapshot says, nothing breaks.
func FuzzSnapshot(f *testing.F) {
	l, room := talkers(f, "a", "b", "c")
	room[2].kill()
	l.start("d")
	room[0].tell(0, "hello")
	f.Add(room[0].Snapshot())
	l.run(5 * time.Second)
	f.Add(room[0].Snapshot())
	l.run(5 * time.Second)
	room[1].tell(0, "hello")
	l.run(5 * time.Second)
	f.Add(room[0].Snapshot())
	at := l.now
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(b) - 4; n > 0 {
			b = binary.BigEndian.AppendUint32(b[:n:n], crc32.ChecksumIEEE(b[:n]))
		}
		e := New(Config{Name: "a", Rand: rand.New(rand.NewPCG(1, 1)), Resume: b, ResumeAge: time.Hour})
		if err := e.Join(at); err != nil {
			t.Fatal(err)
		}
		if e.phase == resuming {
			e.goOn(at)
			e.settle(at)
		}
		now := at
		for range 300 {
			if next := e.NextTimeout(); next.After(now) {
				now = next
			}
			e.HandleTimeout(now)
			checkBounds(t, e, e.TakeOutput())
		}
	})
}
