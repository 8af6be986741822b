package dsps

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
)

// What was read and written again says the same.
func FuzzQuery(f *testing.F) {
	for _, xml := range []string{
		`<iq type='get' from='a@b/c' to='d'><query type='create' xmlns='jabber:iq:dsps' minthroughput='1.5KB' maxpublic='20'><peer port='1'>x/y</peer><comment><a xmlns='z'/></comment></query></iq>`,
		`<iq type='set'><query type='admin' xmlns='jabber:iq:dsps' expire='20' wait='0'><peer type='drop'>x/y</peer></query></iq>`,
		`<iq type='result'><query type='who' xmlns='jabber:iq:dsps'><peer type='slave' throughput='1KB////2KB'>x</peer></query></iq>`,
		`<iq type='result'><query type='stats' xmlns='jabber:iq:dsps' init='9' wait='1'><publicid>x</publicid></query></iq>`,
		`<iq type='error'><error code='405'>no</error></iq>`, presenceExample("1", "drop"), answerExample("connect"),
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		for _, read := range []parser{ParseRequest, ParseReply} {
			first, err := read(el)
			if err != nil || first.Kind == "error" {
				continue
			}
			xml := first.Element().String()
			el, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
			if err != nil {
				t.Fatalf("%v in %s", err, xml)
			}
			second, err := read(el)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("written as %s, (-first +second):\n%s", xml, diff)
			}
		}
	})
}

// A script of bytes is played to an engine by somebody who keeps no rule: wrong
// addresses, keys and connections, anything at any time. In the end, when all
// time is over and all connections are gone, nothing is left.
func FuzzEngine(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x00\x05\x00\x06\x01\x02\x03\x04\x00\x07\x08"))
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and again, and again"))
	f.Fuzz(func(t *testing.T, script []byte) {
		a := newAccount(t, 3)
		r := newRig(t, func(c *Config) {
			c.Limits.Streams, c.Limits.Peers, c.Limits.Queries = 8, 8, 1000
			switch len(script) % 3 {
			case 0:
				c.Addresses = OneJID(service)
			case 1:
				c.Addresses, c.Sides = a, 2
			}
		})
		v := &vandal{rig: r, script: script, account: a, addrs: []JID{service}, keys: []string{"x"}, ids: []string{"id"}, conns: []ConnID{1}}
		for len(v.script) > 0 {
			v.act()
		}
		for range 20 {
			r.now = r.now.Add(time.Hour)
			r.e.HandleTimeout(r.now)
			v.hear()
			for _, c := range v.conns {
				r.e.HandleClosed(r.now, c)
			}
			r.e.HandleAddresses(r.now)
			v.hear()
		}
		e := r.e
		if n := len(e.streams) + len(e.pairs) + len(e.invites) + len(e.publics) + len(e.conns) + len(e.timers) + len(e.held) + len(a.used); n != 0 {
			t.Errorf("%d things are left: %v %v %v %v %v", n, e.streams, e.pairs, e.invites, e.conns, e.timers)
		}
	})
}

// A vandal remembers what it has seen, to use it in the wrong place.
type vandal struct {
	*rig
	account *account
	script  []byte
	addrs   []JID
	keys    []string
	ids     []string
	conns   []ConnID
}

func (v *vandal) next() int {
	if len(v.script) == 0 {
		return 0
	}
	b := v.script[0]
	v.script = v.script[1:]
	return int(b)
}

func pickOf[T any](v *vandal, list []T) T { return list[len(list)-1-v.next()%len(list)] }

func (v *vandal) act() {
	v.now = v.now.Add(time.Duration(v.next()) * 100 * time.Millisecond)
	who, at := []JID{rob, ann, bob, bobLAN}[v.next()%4], pickOf(v, v.addrs)
	right := []Right{Master, Slave, ""}[v.next()%3]
	switch v.next() % 13 {
	case 0:
		v.ask("get", who, at, Create{MaxPublic: v.next() % 3, MinThroughput: Rate(v.next())})
	case 1:
		v.ask("get", who, at, Create{Dests: []Dest{{JID: "a/b"}, {JID: "c/d"}}[:v.next()%3]})
	case 2, 3:
		v.ask("set", who, at, Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{bob, right}, {pickOf(v, []JID{rob, ann, "a"}), right}}})
	case 4, 5:
		v.ask([]string{"result", "error"}[v.next()%2], who, at, Answer{right != ""})
	case 6:
		v.ask("get", who, at, Auth{pickOf(v, v.keys)})
	case 7:
		v.ask("result", who, at, RelayKey{pickOf(v, v.keys)})
	case 8:
		c := v.e.NewConn()
		v.conns = append(v.conns, c)
		v.e.HandleHello(c, string(who+" "+at))
	case 9:
		v.e.HandleKey(pickOf(v, v.conns), pickOf(v, v.keys))
	case 10:
		v.e.HandleRelayKey(v.now, pickOf(v, v.conns), pickOf(v, v.keys))
	case 11:
		v.lose()
	case 12:
		v.login()
	}
	v.hear()
}

// login has an address be made, if one is waited for, or not; or be another one.
func (v *vandal) login() {
	a := v.account
	switch n := v.next() % 4; {
	case n == 0:
		a.ready[0] += "x"
	case a.making && len(a.ready) < a.most:
		a.ready = append(a.ready, JID(fmt.Sprintf("further%d", n)))
	}
	a.making = false
	v.e.HandleAddresses(v.now)
}

func (v *vandal) lose() {
	c := pickOf(v, v.conns)
	switch v.next() % 3 {
	case 0:
		v.e.HandleClosed(v.now, c)
	case 1:
		v.e.HandleProgress(v.now, c, int64(v.next()), time.Duration(v.next())*time.Second)
	case 2:
		v.e.HandleDrained(StreamID(v.next()))
	}
	v.e.HandleTimeout(v.now)
}

func (v *vandal) ask(kind string, from, to JID, q Query) {
	v.e.HandleQuery(v.now, from, to, IQ{Kind: kind, ID: pickOf(v, v.ids), Queries: []Query{q}}.Element())
}

// hear remembers, and drains what is to be drained.
func (v *vandal) hear() {
	out := v.did()
	for _, a := range out.Actions {
		switch a.Do {
		case Drain:
			v.e.HandleDrained(a.Stream)
		case Say:
			v.keys = append(v.keys, a.Line)
		}
		if a.Conn != 0 {
			v.conns = append(v.conns, a.Conn)
		}
	}
	for _, iq := range out.Stanzas {
		v.addrs, v.ids = append(v.addrs, iq.From), append(v.ids, iq.ID)
		if a, ok := first(iq).(Auth); ok {
			v.keys = append(v.keys, a.Key)
		}
		if k, ok := first(iq).(RelayKey); ok {
			v.keys = append(v.keys, k.Key)
		}
	}
	if len(out.Actions)+len(out.Stanzas) > 0 {
		v.hear()
	}
}
