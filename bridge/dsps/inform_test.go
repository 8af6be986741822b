package dsps

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhoByRole(t *testing.T) { // DS-12
	p := newParty(t, Create{})
	p.invite(rob, p.addr[rob], "dan@home.org", Master)
	p.closed(p.conn[cat])
	all := " " + string(rob) + "=master/0/connect " + string(ann) + "=master/1/connect " + string(bob) + "=slave/2/connect " +
		string(cat) + "=slave/3/wait dan@home.org=master//expire"
	p.want("a master sees all", p.query("get", rob, p.addr[rob], Who{}), string(rob)+" result wholist"+all)
	p.want("a slave sees masters", p.query("get", bob, p.addr[bob], Who{}),
		string(bob)+" result wholist "+string(rob)+"=master/0/connect "+string(ann)+"=master/1/connect")
	p.want("a stranger sees nothing", p.query("get", "dan@home.org/d", p.addr[rob], Who{}), "dan@home.org/d error 401")
}

func TestStats(t *testing.T) { // DS-02, DS-12
	p := newParty(t, Create{MinThroughput: 2048, MaxPublic: 9, Comments: words(t, "radio")}, func(c *Config) { c.Wait, c.Expire = 3*time.Second, 4*time.Second })
	got := first(p.query("get", bob, p.addr[bob], Stats{})[0]).(StreamStats)
	if got.PublicID == "" || got.Peers != nil {
		t.Errorf("joined at %q; a list %q", got.PublicID, got.Peers)
	}
	want := StreamStats{
		Init: start, Protocol: "0.5", Port: 5290, MinThroughput: 2048, ExpireDefault: 4 * time.Second, WaitDefault: 3 * time.Second,
		Wait: 3 * time.Second, MaxPublic: 9, MasterCount: 2, SlaveCount: 2, Features: p.e.cfg.Features,
		Comments: words(t, "radio"), PublicID: got.PublicID,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range strings.Fields("init protocol port minthroughput expiredefault waitdefault wait public maxpublic mastercount slavecount relaycount") {
		if !strings.Contains(got.element().String(), " "+name+"='") { // "All "status" attributes are required."
			t.Errorf("no %s", name)
		}
	}
	p.want("a stranger", p.query("get", "dan@x/y", p.addr[rob], Stats{}), "dan@x/y error 401")
}

func TestPublicStreams(t *testing.T) { // DS-12, DS-13
	r := newRig(t)
	r.create(rob, Create{})
	addr := r.create(rob, Create{MaxPublic: 2, Comments: words(t, "radio")})
	r.connect(rob, addr)
	got := r.query("get", ann, service, Stats{})
	if len(got) != 1 || len(got[0].Queries) != 1 {
		t.Fatalf("%v", show(got))
	}
	stats := first(got[0]).(StreamStats)
	if len(stats.Peers) != 1 || stats.MaxPublic != 2 || stats.PublicID != "" {
		t.Fatalf("%+v", stats)
	}
	public := stats.Peers[0]
	r.want("a rejection is ignored", r.query("result", ann, public, Answer{false}))
	a := r.prepared(r.query("result", ann, public, Answer{true}))
	if again := r.prepared(r.query("result", ann, public, Answer{true})); again != a {
		t.Errorf("joined twice: %s and %s", a, again)
	}
	r.connect(ann, a)
	r.want("connected already", r.query("result", ann, public, Answer{true}))
	r.prepared(r.query("result", bob, public, Answer{true}))
	r.want("full", r.query("result", cat, public, Answer{true}), string(cat)+" error 405")
	r.want("joined as slaves", r.query("get", rob, addr, Who{}), string(rob)+" result wholist "+
		string(rob)+"=master/0/connect "+string(ann)+"=slave/1/connect "+string(bob)+"=slave/2/wait")
	r.pass(time.Minute) // bob did not come
	r.prepared(r.query("result", cat, public, Answer{true}))
	if n := first(r.query("get", rob, addr, Stats{})[0]).(StreamStats); n.Public != 2 || n.SlaveCount != 2 {
		t.Errorf("%+v", n)
	}
	r.query("set", rob, addr, Admin{Peers: []AdminPeer{{rob, ""}}})
	r.want("over", r.query("get", ann, service, Stats{}), string(ann)+" result")
	r.e.cfg.Policy.MayJoin = nil
	r.want("policy", r.query("result", "dan@x/y", public, Answer{true}), "dan@x/y error 403")
}
