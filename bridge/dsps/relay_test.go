package dsps

import (
	"fmt"
	"testing"
	"time"
)

const far JID = "dsps.far/stream"

// dialed is the connection of a Dial.
func (r *rig) dialed() ConnID {
	r.t.Helper()
	for _, a := range r.out.Actions {
		if a.Do == Dial {
			return a.Conn
		}
	}
	r.t.Fatalf("nothing is dialed: %v", r.out.Actions)
	return 0
}

// relay makes a stream whose relay stands.
func (r *rig) relay() (addr JID, out ConnID) {
	r.t.Helper()
	r.query("get", rob, service, Create{Dests: []Dest{{JID: far}}})
	out = r.dialed()
	r.e.HandleRelayKey(r.now, out, "k1")
	got := r.did().Stanzas
	addr = r.prepared(got)
	r.connect(rob, addr)
	r.queryID(got[1].ID, "result", rob, addr, RelayKey{"k2"})
	return addr, out
}

func TestRelayIsSetUp(t *testing.T) { // DS-14
	r := newRig(t)
	r.want("not yet", r.queryID("c", "get", rob, service, Create{Dests: []Dest{{JID: far, Port: 99}}}))
	c := r.dialed()
	a := r.out.Actions[0]
	if a.Dest != (Dest{far, "dsps.far", 99}) || a.Line != string(rob+" "+far) {
		t.Errorf("dials %+v", a)
	}
	r.e.HandleRelayKey(r.now, c, "k1")
	got := r.did().Stanzas
	r.want("it is there", got, string(rob)+" result prepared", string(rob)+" get relaykey")
	addr := got[0].From
	if got[0].ID != "c" || got[1].From != addr || first(got[1]).(RelayKey).Key != "k1" {
		t.Errorf("%+v", got)
	}
	r.connect(rob, addr)
	r.want("another's answer", r.queryID(got[1].ID, "result", ann, addr, RelayKey{"k2"}))
	r.want("to another question", r.queryID("x", "result", rob, addr, RelayKey{"k2"}))
	r.want("the relay is a slave, without its resource", r.queryID(got[1].ID, "result", rob, addr, RelayKey{"k2"}),
		string(rob)+" set presence dsps.far=connect")
	r.wantActions("the key goes on", fmt.Sprintf("say conn=%d line=k2", c), fmt.Sprintf("attach conn=%d stream=1 id=1 right=relay", c))
	r.want("who", r.query("get", rob, addr, Who{}), string(rob)+" result wholist "+string(rob)+"=master/0/connect dsps.far=relay/1/connect")
	if s := first(r.query("get", rob, addr, Stats{})[0]).(StreamStats); s.RelayCount != 1 || s.SlaveCount != 0 {
		t.Errorf("%+v", s)
	}
	r.want("dropped by the name it is shown with", r.query("set", rob, addr, Admin{Peers: []AdminPeer{{"dsps.far", ""}}}),
		string(rob)+" result", string(rob)+" set presence dsps.far=drop")
	r.wantActions("dropped", fmt.Sprintf("abort conn=%d", c))
	r.want("no credentials any more", r.query("get", rob, addr, Create{}), string(rob)+" error 405")
}

func TestServicesAreTriedInTurn(t *testing.T) { // DS-14
	r := newRig(t)
	r.queryID("c", "get", rob, service, Create{Dests: []Dest{{JID: "a/1"}, {JID: "b/2"}, {JID: "c/3"}}})
	r.closed(r.dialed())
	r.e.HandleRelayKey(r.now, r.dialed(), "not a key\x00")
	r.did()
	r.e.HandleRelayKey(r.now, r.dialed(), "k")
	r.want("the third", r.did().Stanzas, string(rob)+" result prepared", string(rob)+" get relaykey")

	r.queryID("d", "get", rob, service, Create{Dests: []Dest{{JID: "a/1"}, {JID: "b/2"}}})
	r.closed(r.dialed())
	got := r.closed(r.dialed()).Stanzas
	r.want("none", got, string(rob)+" error 504") // DS-02
	addr := got[0].From
	if got[0].ID != "d" || addr == service {
		t.Errorf("%+v", got)
	}
	r.query("get", rob, addr, Create{})
	if a := r.out.Actions[0]; a.Dest.JID != "b/2" {
		t.Errorf("the last is remembered, but %v is dialed", a.Dest)
	}
}

func TestRelayIsReconnected(t *testing.T) { // DS-06, DS-14
	r := newRig(t)
	addr, c := r.relay()
	r.want("still connected", r.query("get", rob, addr, Create{}), string(rob)+" error 405")
	r.want("lost", r.closed(c).Stanzas, string(rob)+" set presence dsps.far=waiting")
	r.want("with a peer block", r.query("get", rob, addr, Create{Dests: []Dest{{JID: far}}}), string(rob)+" error 405")
	r.queryID("again", "get", rob, addr, Create{})
	c = r.dialed()
	if r.out.Actions[0].Dest.JID != far {
		t.Errorf("dials %v", r.out.Actions[0])
	}
	r.want("under way", r.query("get", rob, addr, Create{}), string(rob)+" error 405")
	r.e.HandleRelayKey(r.now, c, "k3")
	got := r.did().Stanzas
	r.want("keys again", got, string(rob)+" result prepared", string(rob)+" get relaykey")
	refused := IQ{Kind: "error", ID: got[1].ID}
	r.e.HandleQuery(r.now, rob, addr, refused.Element())
	r.did()
	r.wantActions("the client has no key", fmt.Sprintf("abort conn=%d", c))
	r.want("wait is over", r.pass(time.Minute).Stanzas, string(rob)+" set presence dsps.far=drop")
	r.want("forgotten", r.query("get", rob, addr, Create{}), string(rob)+" error 405")
}

func TestRelayAtTheServicesOwnAddress(t *testing.T) { // DS-14
	r := newRig(t, func(c *Config) { c.Addresses = numbered{OneJID(service)} })
	r.query("get", rob, service, Create{Dests: []Dest{{JID: far}}})
	r.e.HandleRelayKey(r.now, r.dialed(), "k1")
	if addr := r.prepared(r.did().Stanzas); addr != service {
		t.Fatalf("prepared at %s", addr)
	}
	if addr := r.create(rob, Create{}); addr == service {
		t.Error("a second stream has the same address")
	}
}

// numbered is what an account has that can log in more than once.
type numbered struct{ Addresses }

func (numbered) Assign(_ int, _ JID, taken func(JID) bool) (JID, Grant) {
	a := service
	for taken(a) {
		a += "2"
	}
	return a, Given
}

func TestRelayEndsWithItsOwner(t *testing.T) { // DS-14
	r := newRig(t)
	r.queryID("c", "get", rob, service, Create{Dests: []Dest{{JID: far}}})
	c := r.dialed()
	r.want("the owner's wait is over", r.pass(time.Minute).Stanzas, string(rob)+" error 504")
	r.wantActions("hung up", fmt.Sprintf("abort conn=%d", c), "drain stream=1")
	r.e.HandleDrained(1)
	r.did()
	if r.e.Streams() != 0 {
		t.Error("the stream is still there")
	}

	addr, c := r.relay()
	r.query("set", rob, addr, Admin{Peers: []AdminPeer{{rob, ""}}})
	for id := range r.e.conns {
		if id != c {
			r.closed(id)
		}
	}
	r.e.HandleDrained(r.out.Actions[0].Stream)
	r.did()
	r.wantActions("what was taken goes out", fmt.Sprintf("flush conn=%d", c), r.out.Actions[1].String())
}
