package dsps

import (
	"strings"
	"testing"
	"time"
)

// An account is Addresses of two sides: on the first one address, and further
// ones that take time to make; on the second as many as are wanted, by names that
// may change. Clients of the second side are on hosts of the LAN.
type account struct {
	t      *testing.T
	ready  []JID // on the first side
	making bool
	most   int
	used   map[pair]int // that were assigned, and not released
	others Resources
}

func newAccount(t *testing.T, most int) *account {
	return &account{
		t: t, ready: []JID{service}, most: most, used: map[pair]int{},
		others: Resources{Bare: "gw@lan", Rand: newRig(t).e.cfg.Rand},
	}
}

func (a *account) IsService(addr JID) bool { return addr == service || addr == a.others.Bare }

func (a *account) Canonical(addr JID) JID {
	if rest, ok := strings.CutPrefix(string(addr), "renamed@lan/"); ok {
		return a.others.Bare + "/" + JID(rest)
	}
	return addr
}

func (a *account) Side(client JID) int {
	if strings.HasSuffix(string(client.Bare()), "@lan") {
		return 1
	}
	return 0
}

func (a *account) Assign(side int, client JID, taken func(JID) bool) (JID, Grant) {
	if side == 1 {
		addr, _ := a.others.Assign(side, client, taken)
		a.used[pair{client, addr}]++
		return addr, Given
	}
	for _, addr := range a.ready {
		if !taken(addr) && addr != "" {
			a.used[pair{client, addr}]++
			return addr, Given
		}
	}
	if len(a.ready) == a.most {
		return "", None
	}
	a.making = true
	return "", Later
}

func (a *account) Release(client, addr JID) {
	p := pair{client, addr}
	if a.used[p]--; a.used[p] < 0 {
		a.t.Errorf("%v was released and not assigned", p)
	} else if a.used[p] == 0 {
		delete(a.used, p)
	}
}

func (a *account) Lost(addr JID) bool {
	for _, known := range a.ready {
		if known == addr {
			return false
		}
	}
	return addr.Bare() != a.others.Bare
}

// make makes the address that is waited for, or fails.
func (a *account) make(r *rig, addr JID) []IQ {
	a.t.Helper()
	if !a.making {
		a.t.Error("no address is waited for")
	}
	a.making = false
	if addr == "" {
		a.most = len(a.ready)
	} else {
		a.ready = append(a.ready, addr)
	}
	return a.changed(r)
}

func (a *account) changed(r *rig) []IQ {
	r.e.HandleAddresses(r.now)
	return r.did().Stanzas
}

const bobLAN, annLAN JID = "bob@lan", "ann@lan"

func accountRig(t *testing.T, most int) (*rig, *account) {
	a := newAccount(t, most)
	return newRig(t, func(c *Config) { c.Addresses, c.Sides = a, 2 }), a
}

// DS-03, DS-13: what needs an address that is being made waits for it: a stream, an
// invitation's answer and a place on a public stream.
func TestRequestsWaitForAnAddress(t *testing.T) {
	r, a := accountRig(t, 4)
	r.create(rob, Create{})
	r.want("a second stream", r.queryID("again", "get", rob, service, Create{}))
	got := a.make(r, "second")
	if at := r.prepared(got); at != "second" || got[0].ID != "again" {
		t.Errorf("the second is at %s: %v", at, show(got))
	}

	at := r.create(ann, Create{})
	r.connect(ann, at)
	first, second := r.invite(ann, at, rob, Slave), r.invite(ann, at, "rob@nauseum.org", Master)
	if first.From != service || second.From != service || first.ID == second.ID {
		t.Fatalf("%v, %v", first, second)
	}
	r.want("an answer with another's id", r.queryID("x", "result", rob, service, Answer{true}))
	r.want("an answer", r.queryID(first.ID, "result", rob, service, Answer{true}))
	r.want("is given once", r.queryID(first.ID, "result", rob, service, Answer{false}))
	r.want("and the invitation does not expire", r.pass(5*time.Minute).Stanzas, string(ann)+" result report rob@nauseum.org=expire")
	r.want("it is taken in the end", a.make(r, "third"), string(rob)+" result prepared")
}

func TestAnswerGetsTheAddressThatItWaitsFor(t *testing.T) { // DS-08
	r, a := accountRig(t, 4)
	r.create(rob, Create{})
	at := r.create(ann, Create{})
	r.connect(ann, at)
	for _, tt := range []struct {
		addr JID
		want []string
	}{
		{"second", []string{string(rob) + " result prepared"}},
		{"", []string{string(ann) + " result report " + string(rob) + "=reject", string(rob) + " set dropped"}},
	} {
		inv := r.invite(ann, at, rob, Slave)
		r.queryID(inv.ID, "result", rob, service, Answer{true})
		r.want("who is asked again", r.query("set", ann, at, Admin{Peers: []AdminPeer{{rob, Slave}}}), string(ann)+" result")
		r.want("has an answer", a.make(r, tt.addr), tt.want...)
	}
	inv := r.invite(ann, at, rob, Slave)
	a.most = 9
	r.queryID(inv.ID, "result", rob, service, Answer{true})
	r.query("set", ann, at, Admin{Peers: []AdminPeer{{rob, ""}}})
	r.want("is no peer any more", a.make(r, "third"))
	if n := len(a.used); n != 2 { // rob's and ann's first
		t.Errorf("%d addresses are in use: %v", n, a.used)
	}
}

func TestNoFurtherAddressIsRefused(t *testing.T) { // DS-02, DS-13
	r, a := accountRig(t, 4)
	r.create(rob, Create{MaxPublic: 1})
	r.query("get", rob, service, Create{})
	r.want("not to be made", a.make(r, ""), string(rob)+" error 405")
	r.want("nor any more", r.query("get", rob, service, Create{}), string(rob)+" error 405")
	r.want("public ones have one each", r.query("get", ann, service, Create{MaxPublic: 1}), string(ann)+" error 405")
	r.create(ann, Create{})
	a.most = 9
	for range maxHeldEach {
		r.want("waits", r.query("get", rob, service, Create{}))
	}
	r.want("too many wait", r.query("get", rob, service, Create{}), string(rob)+" error 405")
}

// DS-13: a public stream is joined from both sides, by an address of each, wherever
// it was created.
func TestPublicStreamsAreJoinedFromBothSides(t *testing.T) {
	for _, creator := range []JID{rob, bobLAN} {
		r, a := accountRig(t, 3)
		listed := func(who, at JID) JID {
			t.Helper()
			list := r.query("get", who, at, Stats{})[0].Queries
			if len(list) != 1 {
				t.Fatalf("%d streams are listed", len(list))
			}
			return list[0].(StreamStats).Peers[0]
		}
		home := map[int]JID{0: service, 1: a.others.Bare}[a.Side(creator)]
		at := r.prepared(r.query("get", creator, home, Create{MaxPublic: 9}))
		net, lan := listed(ann, service), listed(annLAN, a.others.Bare)
		if net != service || lan.Bare() != a.others.Bare {
			t.Errorf("joined at %s and %s", net, lan)
		}
		for who, door := range map[JID]JID{ann: net, annLAN: lan} {
			addr := r.prepared(r.query("result", who, door, Answer{true}))
			r.connect(who, addr)
			if got := first(r.query("get", who, addr, Stats{})[0]).(StreamStats); got.PublicID != door {
				t.Errorf("%s reads of %s", who, got.PublicID)
			}
		}
		r.query("set", creator, at, Admin{Peers: []AdminPeer{{creator, ""}}})
		for _, act := range r.out.Actions {
			if act.Do == Drain {
				r.e.HandleDrained(act.Stream)
			}
		}
		if len(a.used)+len(r.e.publics) != 0 {
			t.Errorf("still in use: %v, %v", a.used, r.e.publics)
		}
	}
}

// DS-13: where a side has no address for a public stream it gets one when there is;
// and another one for one that is lost.
func TestDoorsOpenLater(t *testing.T) {
	r, a := accountRig(t, 3)
	doors := func() (list []JID) {
		for _, q := range r.query("get", cat, service, Stats{})[0].Queries {
			list = append(list, q.(StreamStats).Peers...)
		}
		return list
	}
	a.ready[0] = "" // offline
	a.most = 1
	r.query("get", bobLAN, a.others.Bare, Create{MaxPublic: 9})
	if got := doors(); got != nil {
		t.Errorf("joined at %s", got)
	}
	a.ready[0] = service
	a.changed(r)
	if got := doors(); len(got) != 1 || got[0] != service {
		t.Errorf("joined at %s", got)
	}
	a.ready[0] = "renamed"
	a.changed(r)
	if got := doors(); len(got) != 1 || got[0] != "renamed" || len(r.e.publics) != 2 {
		t.Errorf("joined at %s, of %v", got, r.e.publics)
	}
}

// DS-04, DS-05: an address may be said in another way than it was assigned: a name
// of ours is another now.
func TestAddressesByTheirNewNames(t *testing.T) {
	r, a := accountRig(t, 1)
	at := r.prepared(r.query("get", bobLAN, a.others.Bare, Create{}))
	now := JID(strings.Replace(string(at), string(a.others.Bare), "renamed@lan", 1))
	c := r.connect(bobLAN, now)
	r.want("by the new name", r.query("get", bobLAN, now, Who{}), "bob@lan result wholist bob@lan=master/0/connect")
	r.closed(c)
	r.connect(bobLAN, at)
}
