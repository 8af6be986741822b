package outbox

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meshgate/xmppc2s/sm"
)

// A model is a Box without any cleverness: one list, and a disk of its own.
type model struct {
	list  []thing // in order of acceptance, those aside among them
	seq   uint64
	ahead int
	owed  int
}

type thing struct {
	seq  uint64
	at   time.Time
	lane Lane
	data string
	say  sayings
}

// sayings are the stanzas of the test, with what they are.
type sayings struct {
	lane    Lane
	kind    sm.Kind
	to      string
	state   bool
	body    bool
	lasting bool
	words   string // with the verbs for its number and its address
}

var vocabulary = []sayings{
	{lane: Chat, kind: sm.Message, body: true, lasting: true, words: "<message id='%d' to='%s' type='chat'><body>words</body></message>"},
	{lane: Light, kind: sm.Message, state: true, words: "<message id='%d' to='%s' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>"},
	{lane: Light, kind: sm.Message, lasting: true, words: "<message id='%d' to='%s'><received xmlns='urn:xmpp:receipts' id='7'/></message>"},
	{lane: Chat, kind: sm.Message, lasting: true, words: "<message id='%d' to='%s' type='groupchat'><subject>hats</subject></message>"},
	{lane: Chat, kind: sm.Presence, words: "<presence id='%d' to='%s'/>"},
	{lane: Chat, kind: sm.Presence, lasting: true, words: "<presence id='%d' to='%s' type='subscribed'/>"},
	{lane: Presence, kind: sm.Presence, words: "<presence id='%d'><status>%s</status></presence>"},
	{lane: Control, kind: sm.Presence, words: "<presence id='%d' to='%s' type='probe'/>"},
	{lane: Control, kind: sm.IQ, words: "<iq id='%d' to='%s' type='result'/>"},
	{lane: Bulk, kind: sm.IQ, words: "<iq id='%d' to='%s' type='set'>" + fmt.Sprintf("%5000d", 1) + "</iq>"},
}

func (m *model) remove(gone func(thing) bool) {
	m.list = slices.DeleteFunc(m.list, gone)
}

func (m *model) add(now time.Time, s sayings, data, to string) {
	m.seq++
	at := now
	switch {
	case s.lane == Presence:
		for _, x := range m.list {
			if x.lane == Presence {
				at = x.at
			}
		}
		m.remove(func(x thing) bool { return x.lane == Presence })
	case s.state || s.body || s.kind == sm.Message && s.lane == Chat:
		m.remove(func(x thing) bool { return x.lane == Light && x.say.state && x.say.to == to })
	}
	s.to = to
	m.list = append(m.list, thing{m.seq, at, s.lane, data, s})
}

func (m *model) next() (thing, bool) {
	best := -1
	seen := map[Lane]bool{}
	for i, x := range m.list {
		if x.lane == Aside || x.lane == Control || seen[x.lane] {
			continue
		}
		seen[x.lane] = true
		key := func(x thing) time.Time { return x.at.Add(headStart[x.lane]) }
		if best < 0 || key(x).Before(key(m.list[best])) || key(x).Equal(key(m.list[best])) && x.lane < m.list[best].lane {
			best = i
		}
	}
	chat := slices.IndexFunc(m.list, func(x thing) bool { return x.lane == Chat })
	if m.owed > 0 && chat >= 0 {
		best = chat
	}
	control := slices.IndexFunc(m.list, func(x thing) bool { return x.lane == Control })
	switch {
	case best < 0 && control < 0:
		return thing{}, false
	case best < 0:
		best, m.ahead = control, 0
	case control >= 0 && m.ahead <= maxAhead:
		best = control
		m.ahead += len(m.list[best].data)
	default:
		m.ahead = max(0, m.ahead-len(m.list[best].data))
	}
	x := m.list[best]
	if x.lane == Chat {
		m.owed = max(0, m.owed-1)
	} else if x.lane != Control && chat >= 0 {
		m.owed = 3
	}
	m.list = slices.Delete(m.list, best, best+1)
	return x, true
}

// place is where the row of a stanza is.
type place struct {
	aside bool
	seq   uint64
}

// A rig is a Box beside its model, with a disk.
type rig struct {
	t     *rapid.T
	box   *Box
	model model
	now   time.Time
	disk  map[place]string // all that was written
	upTo  uint64           // of the write under way
}

// config leaves next to nothing in memory.
var config = Config{Memory: 300, MaxAside: 3, Journal: true}

// write takes the changes to the disk: one write, which is durable later.
func (r *rig) write() {
	var list []Change
	list, r.upTo = r.box.AppendChanges(nil)
	for _, c := range list {
		p := place{c.Entry.Lane == Aside, c.Entry.Seq}
		_, there := r.disk[p]
		if c.Remove != there {
			r.t.Fatalf("change %+v of a row that is there %v", c, there)
		}
		if c.Remove {
			delete(r.disk, p)
		} else {
			r.disk[p] = string(c.Entry.Data)
		}
	}
	want := map[place]string{}
	for _, x := range r.model.list {
		want[place{x.lane == Aside, x.seq}] = x.data
	}
	if diff := cmp.Diff(want, r.disk); diff != "" {
		r.t.Fatalf("rows (-want +got):\n%s", diff)
	}
	if r.box.Changed() {
		r.t.Fatal("changes behind the changes")
	}
}

// data is what an entry is, from wherever it is.
func (r *rig) data(e Entry) string {
	if e.Data != nil {
		return string(e.Data)
	}
	data, ok := r.disk[place{e.Lane == Aside, e.Seq}]
	if !ok {
		r.t.Fatalf("%d is neither in memory nor on the disk", e.Seq)
	}
	return data
}

func (r *rig) same(e Entry, x thing) {
	if e.Seq != x.seq || r.data(e) != x.data || e.Lane != x.lane || !e.At.Equal(x.at) || e.Kind != x.say.kind || e.Size != len(x.data) {
		r.t.Fatalf("%+v, want %+v", e, x)
	}
}

func (r *rig) sameAll(got []Entry, want []thing) {
	if len(got) != len(want) {
		r.t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	bySeq := func(a, b Entry) int { return int(a.Seq) - int(b.Seq) }
	for i, e := range slices.SortedFunc(slices.Values(got), bySeq) {
		r.same(e, want[i])
	}
}

// take removes from the model what fits and returns it.
func (r *rig) take(fits func(thing) bool) (list []thing) {
	for _, x := range r.model.list {
		if fits(x) {
			list = append(list, x)
		}
	}
	r.model.remove(fits)
	return list
}

// restart makes a new Box of what is on the disk.
func (r *rig) restart() {
	r.write()
	r.box, r.upTo = New(config), 0
	order := slices.SortedFunc(maps.Keys(r.disk), func(a, b place) int {
		if a.aside != b.aside {
			return map[bool]int{true: -1, false: 1}[a.aside]
		}
		return int(a.seq) - int(b.seq)
	})
	r.model.seq, r.model.ahead, r.model.owed = 0, 0, 0
	for _, p := range order {
		i := slices.IndexFunc(r.model.list, func(x thing) bool { return x.seq == p.seq })
		if !r.box.Restore(p.seq, r.model.list[i].at, []byte(r.disk[p]), p.aside) {
			r.t.Fatalf("row %v is refused: %s", p, r.disk[p])
		}
		r.model.seq = max(r.model.seq, p.seq)
	}
}

// SM-04, SM-11: whatever is done with a Box, it holds what its model holds, in
// the same order, and so does the disk.
func TestABoxIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &rig{t: t, box: New(config), now: time.UnixMilli(1e12), disk: map[place]string{}}
		addresses := []string{"bob@example.org", "carol@example.org", "room@example.org/nick"}
		anySeq := func() uint64 { return rapid.Uint64Range(1, r.model.seq+1).Draw(t, "seq") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := vocabulary[rapid.IntRange(0, len(vocabulary)-1).Draw(t, "saying")]
				to := rapid.SampledFrom(addresses).Draw(t, "to")
				data := fmt.Sprintf(s.words, r.model.seq+1, to)
				r.model.add(r.now, s, data, to)
				if err := r.box.Add(r.now, []byte(data)); err != nil {
					t.Fatal(err)
				}
			},
			"next": func(t *rapid.T) {
				want, wantOK := r.model.next()
				got, ok := r.box.Next()
				if ok != wantOK {
					t.Fatalf("next: %v, want %v", ok, wantOK)
				}
				if ok {
					r.same(got, want)
				}
			},
			"time": func(t *rapid.T) {
				r.now = r.now.Add(time.Duration(rapid.IntRange(0, 8000).Draw(t, "ms")) * time.Millisecond)
			},
			"write":   func(*rapid.T) { r.write() },
			"durable": func(*rapid.T) { r.box.Durable(r.upTo) },
			"restart": func(*rapid.T) { r.restart() },
			"fresh": func(*rapid.T) {
				r.sameAll(r.box.Fresh(), r.take(func(x thing) bool { return !x.say.lasting }))
			},
			"expire": func(t *rapid.T) {
				before := r.now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "s")) * time.Second)
				r.sameAll(r.box.Expire(before, 1000), r.take(func(x thing) bool { return x.say.kind == sm.Message && x.at.Before(before) }))
			},
			"drop": func(t *rapid.T) {
				seq := anySeq()
				want := r.take(func(x thing) bool { return x.seq == seq })
				if got, ok := r.box.Drop(seq); ok {
					r.sameAll([]Entry{got}, want)
				} else {
					r.sameAll(nil, want)
				}
			},
			"set aside": func(t *rapid.T) {
				s := vocabulary[0]
				data := fmt.Sprintf(s.words, r.model.seq+1, "bob@example.org")
				if aside := slices.DeleteFunc(slices.Clone(r.model.list), func(x thing) bool { return x.lane != Aside }); len(aside) == config.MaxAside {
					r.model.remove(func(x thing) bool { return x.seq == aside[0].seq })
				}
				r.model.seq++
				r.model.list = append(r.model.list, thing{r.model.seq, r.now, Aside, data, s})
				r.box.SetAside(r.now, []byte(data))
			},
			"retry": func(t *rapid.T) {
				seq := anySeq()
				e, _ := r.box.Get(seq)
				was := r.take(func(x thing) bool { return x.seq == seq && x.lane == Aside })
				var data []byte
				if len(was) > 0 {
					data = []byte(r.data(e))
					r.model.add(r.now, was[0].say, was[0].data, "bob@example.org")
				}
				if got := r.box.Retry(r.now, seq, data); got != (len(was) > 0) {
					t.Fatalf("retry: %v", got)
				}
			},
			"": func(t *rapid.T) { r.check() },
		})
	})
}

func (r *rig) check() {
	list := r.box.List(len(r.model.list) + 1)
	r.sameAll(list, r.model.list)
	if !slices.IsSortedFunc(list, func(a, b Entry) int { return int(a.Seq) - int(b.Seq) }) {
		r.t.Fatal("the list is out of order")
	}
	n, bytes, aside := 0, 0, 0
	for _, x := range r.model.list {
		if x.lane == Aside {
			aside++
			continue
		}
		n++
		bytes += len(x.data)
	}
	if gotN, gotBytes := r.box.Len(); gotN != n || gotBytes != bytes || r.box.AsideLen() != aside {
		r.t.Fatalf("%d stanzas of %d bytes, %d aside, want %d, %d, %d", gotN, gotBytes, r.box.AsideLen(), n, bytes, aside)
	}
}
