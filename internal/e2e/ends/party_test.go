package ends

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/rawstream"
)

// streamPort is where the gateway of an office listens for streams.
const streamPort = 5290

// random is n bytes that are the same for the same seed.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// methods are all ways to connect, with all ends of lines.
var methods = []rawstream.Method{
	rawstream.Plain, {TLS: true, EOL: "\r"}, {HTTP: true, EOL: "\r\n"}, {HTTP: true, TLS: true, EOL: "\n"},
	{EOL: "\n"}, {EOL: "\r\n"}, {TLS: true, EOL: "\r\n"}, {HTTP: true, EOL: "\r"},
}

// Streams as the document has them, through the gateway and a real server.
func TestStreamsOfMany(t *testing.T) {
	t.Parallel()
	config := map[string]any{"streams.enabled": true, "streams.host": "127.0.0.1"}
	maps.Copy(config, e2e.NoLimits())
	h := newHall(t, e2e.OfficeOptions{Users: []string{"alice", "dave"}, Config: config})
	bob := h.peer("bob@h2", h.Mirror("meshgate"), h.Host("h2"))
	stopped := h.beginWithAReaderThatStops(bob)
	h.oneToEight(bob)
	h.mastersAndSlaves()
	h.publicStream()
	h.cutReader()
	h.cutSender(bob)
	h.readerThatPauses()
	stopped()
}

// some makes clients of a user's beside the server.
func (h *hall) some(user string, n int) []*rawstream.Person {
	h.t.Helper()
	var some []*rawstream.Person
	for range n {
		some = append(some, h.contact(user, h.Host("h1"), nil))
	}
	return some
}

// DS-09, DS-15, DS-17, DS-19: one upload on the LAN, eight receivers on both sides,
// each connected another way; the sender leaves, and everybody has all of it.
func (h *hall) oneToEight(bob *rawstream.Person) {
	p := h.begin(bob, "")
	guests := append(h.some("alice", 4), h.some("dave", 3)...)
	guests = append(guests, h.peer("eva@h2", h.Mirror("meshgate"), h.Host("h2")))
	var all []*intake
	for i, g := range guests {
		all = append(all, take(p.invite(g, "slave", methods[i])))
	}
	data := random(8, 4<<20)
	put(h.t, p.line, data)
	p.leave()
	for i, in := range all {
		in.want(h.t, guests[i].JID, data)
		guests[i].Dropped()
	}
}

// DS-06, DS-09: what one master sends all others get, what a slave sends the masters only.
func (h *hall) mastersAndSlaves() {
	people := h.some("alice", 4)
	p := h.begin(people[0], "")
	other := p.invite(people[1], "master", rawstream.Plain)
	slave, silent := p.invite(people[2], "slave", rawstream.Plain), p.invite(people[3], "slave", rawstream.Plain)
	const size = 1 << 20
	fromOne, fromOther, fromSlave := random(1, size), random(2, size), random(3, size)
	var moving sync.WaitGroup
	for l, data := range map[*rawstream.Line][]byte{p.line: fromOne, other: fromOther, slave: fromSlave} {
		moving.Go(func() { put(h.t, l, data) })
	}
	for l, want := range map[*rawstream.Line]map[string][]byte{
		p.line: {"1": fromOther, "2": fromSlave}, other: {"0": fromOne, "2": fromSlave},
		slave: {"0": fromOne, "1": fromOther}, silent: {"0": fromOne, "1": fromOther},
	} {
		moving.Go(func() {
			if err := compare(l, want); err != nil {
				h.t.Error(err)
			}
		})
	}
	moving.Wait()
	slave.Close()
	p.master.Presence(people[2].JID, "waiting")
	other.Close()
	people[3].Presence(people[1].JID, "waiting")
	people[3].Refute("of another slave", func(a rawstream.Answer) bool {
		return a.Is("set", "presence") && a.Query[0].Peers[0].JID == people[2].JID
	})
	p.master.Drop(p.at, people[1].JID)
	people[1].Dropped()
	p.leave()
	people[3].Dropped()
}

// compare reads until so much has come as was sent, by whom.
func compare(l *rawstream.Line, want map[string][]byte) error {
	got, left := map[string][]byte{}, 0
	for _, data := range want {
		left += len(data)
	}
	for left > 0 {
		id, data, err := l.Block()
		if err != nil {
			return err
		}
		got[id] = append(got[id], data...)
		left -= len(data)
	}
	for id, data := range want {
		if !bytes.Equal(got[id], data) {
			return fmt.Errorf("%d bytes of %s are not what it sent", len(got[id]), id)
		}
	}
	return nil
}

// DS-12, DS-13: whoever asks finds a public stream, and joins it while there is room.
func (h *hall) publicStream() {
	people := h.some("dave", 4)
	p := h.begin(people[0], "maxpublic='2'")
	list := people[1].Query(h.service(), "stats")
	if len(list.Query) != 1 || len(list.Query[0].Peers) != 1 || list.Query[0].MaxPublic != "2" {
		h.t.Fatalf("public streams: %+v", list)
	}
	public := list.Query[0].Peers[0].JID
	var lines []*rawstream.Line
	for i, m := range methods[:2] {
		g := people[1+i]
		p.places[g] = g.Join(public, g.NewID())
		lines = append(lines, p.back(g, m))
	}
	last := people[3]
	id := last.NewID()
	last.Say(public, "result", id, "<query type='acknowledge' xmlns='jabber:iq:dsps' status='connect'/>")
	if a := last.Reply(id); a.Error.Code != "405" {
		h.t.Errorf("one too many is told %+v", a)
	}
	put(h.t, p.line, []byte("radio"))
	for _, l := range lines {
		l.WantData("0", "radio")
	}
	p.leave()
	people[1].Dropped()
}

// DS-05: a reader is cut off in the middle, and comes back by every other method.
// What was sent meanwhile it does not get; others miss nothing.
func (h *hall) cutReader() {
	proxy := h.Host("h1").Proxy(fmt.Sprint("127.0.0.1:", streamPort))
	people := h.some("alice", 2)
	p := h.begin(people[0], "")
	dave := h.contact("dave", h.Host("h1"), proxy)
	steady := take(p.invite(people[1], "slave", rawstream.Plain))
	l := p.invite(dave, "slave", rawstream.Plain)
	var all []byte
	send := func(data []byte) {
		all = append(all, data...)
		put(h.t, p.line, data)
	}
	for i, m := range []rawstream.Method{{HTTP: true, EOL: "\r\n"}, {TLS: true, EOL: "\r"}, {HTTP: true, TLS: true, EOL: "\n"}, rawstream.Plain} {
		part := random(byte(10+i), 1<<20)
		proxy.CutAfter(300<<10, e2e.Down)
		send(part)
		got := &prefix{want: part}
		if err := l.All(got); err == nil || got.n == 0 || got.differs {
			h.t.Errorf("%v: %d bytes have come until %v; other ones: %v", m, got.n, err, got.differs)
		}
		p.master.Presence(dave.JID, "waiting")
		send([]byte("nobody that is cut off hears this"))
		awaitBytes(h.t, steady, len(all))
		l = p.back(dave, m)
		want := fmt.Sprint("again, ", i)
		send([]byte(want))
		l.WantData("0", want) // and nothing before it
	}
	p.leave()
	steady.want(h.t, "who was not cut off", all)
}

// A prefix takes data that is to be the beginning of want.
type prefix struct {
	want    []byte
	n       int
	differs bool
}

func (p *prefix) Write(b []byte) (int, error) {
	p.differs = p.differs || p.n+len(b) > len(p.want) || !bytes.Equal(b, p.want[p.n:p.n+len(b)])
	p.n += len(b)
	return len(b), nil
}

func awaitBytes(t *testing.T, in *intake, n int) {
	t.Helper()
	for late := time.Now().Add(e2e.Patience); in.bytes.Load() < int64(n); time.Sleep(time.Millisecond) { // poll a counter
		if time.Now().After(late) {
			t.Fatalf("%d bytes have come, want %d", in.bytes.Load(), n)
		}
	}
}

// DS-05, DS-06: a sender is cut off in the middle, and comes back another way. All
// have the same beginning of what it sent before, and all of what it sent then.
func (h *hall) cutSender(bob *rawstream.Person) {
	proxy := h.Host("h1").Proxy(fmt.Sprint("127.0.0.1:", streamPort))
	p := h.begin(h.contact("alice", h.Host("h1"), proxy), "")
	dave := h.contact("dave", h.Host("h1"), nil)
	readers := map[*rawstream.Person]*kept{}
	for _, who := range []*rawstream.Person{bob, dave} {
		readers[who] = keep(p.invite(who, "slave", rawstream.Plain))
	}
	before, after := random(20, 2<<20), random(21, 1<<20)
	proxy.CutAfter(700<<10, e2e.Up)
	_, _ = p.line.Write(before) // as much as there is room for
	for who := range readers {
		who.Presence(h.called(who, p.master), "waiting")
	}
	p.line = p.master.Connect(p.at, rawstream.Method{HTTP: true, TLS: true, EOL: "\r"}, "")
	put(h.t, p.line, after)
	p.leave()
	sent := 0
	for who, k := range readers {
		got, err := k.all()
		first, whole := bytes.CutSuffix(got, after)
		if err != nil || !whole || !bytes.HasPrefix(before, first) || len(first) == 0 || sent != 0 && len(got) != sent {
			h.t.Errorf("%s: %d bytes have come, %d of them from before; %v", who.JID, len(got), len(first), err)
		}
		sent = len(got)
	}
}

// Kept is the data of a line, up to its end.
type kept struct {
	bytes.Buffer
	ended chan error
}

func keep(l *rawstream.Line) *kept {
	k := &kept{ended: make(chan error, 1)}
	go func() { k.ended <- l.All(k) }()
	return k
}

func (k *kept) all() ([]byte, error) {
	err := <-k.ended
	return k.Bytes(), err
}

// held is more than all buffers on the way to a reader have room for.
const held = 48 << 20

// hold has a master send more than there is room for, to a reader that stops and
// to another; the function goes on with what could not be sent.
func (p *party) hold(proxy *e2e.Proxy) (data []byte, others *intake, goOn func()) {
	p.t.Helper()
	people := p.some("alice", 1)
	others = take(p.invite(people[0], "slave", rawstream.Plain))
	proxy.Stall(e2e.Down)
	data = random(30, held)
	_ = p.line.SetWriteDeadline(time.Now().Add(time.Second))
	n, err := p.line.Write(data)
	if !rawstream.IsTimeout(err) {
		p.t.Errorf("%d bytes were taken although one reader does not read; %v", n, err)
	}
	_ = p.line.SetWriteDeadline(time.Time{})
	return data, others, func() { put(p.t, p.line, data[n:]) }
}

// DS-11: a reader that stops holds up the others, until it goes on.
func (h *hall) readerThatPauses() {
	proxy := h.Host("h1").Proxy(fmt.Sprint("127.0.0.1:", streamPort))
	p := h.begin(h.some("dave", 1)[0], "")
	slow := take(p.invite(h.contact("dave", h.Host("h1"), proxy), "slave", rawstream.Plain))
	data, others, goOn := p.hold(proxy)
	proxy.Resume(e2e.Down)
	goOn()
	p.leave()
	others.want(h.t, "who was held up", data)
	slow.want(h.t, "who has stopped", data)
}

// DS-11: a reader that stops on a stream with minthroughput is disconnected after
// 16 seconds, but not dropped: others go on, and it may come back. The function
// that is returned waits for that.
func (h *hall) beginWithAReaderThatStops(bob *rawstream.Person) (stopped func()) {
	proxy := h.Host("h1").Proxy(fmt.Sprint("127.0.0.1:", streamPort))
	dave := h.contact("dave", h.Host("h1"), proxy)
	p := h.begin(bob, "minthroughput='64KB'")
	p.invite(dave, "slave", rawstream.Plain)
	data, others, goOn := p.hold(proxy)
	done := make(chan struct{})
	go func() { defer close(done); goOn() }()
	return func() {
		bob.Presence(h.called(bob, dave), "waiting")
		<-done
		awaitBytes(h.t, others, len(data))
		proxy.Resume(e2e.Down)
		l := p.back(dave, rawstream.Method{HTTP: true, EOL: "\r\n"})
		put(h.t, p.line, []byte("the end"))
		l.WantData("0", "the end")
		p.leave()
		others.want(h.t, "who did not stop", append(data, "the end"...))
		dave.Dropped()
	}
}
