package linklocal

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func newsOf(r *roster) (evs []Event) {
	for {
		ev, told, ok := r.next()
		if !ok {
			return evs
		}
		if told != nil {
			close(told)
		}
		evs = append(evs, ev)
	}
}

func TestRosterTellsWhatChanged(t *testing.T) {
	r := newRoster(10)
	romeo := Peer{Instance: "romeo@h1", Addrs: addrs("10.0.0.1")}
	away := romeo
	away.Presence.Status = Away
	wantNews := func(why string, want ...Event) {
		t.Helper()
		if diff := cmp.Diff(want, newsOf(r), compareAddrs); diff != "" {
			t.Errorf("%s: %s", why, diff)
		}
	}
	r.set(romeo)
	wantNews("new", PeerAppeared{romeo})
	r.set(romeo)
	wantNews("the same again, from another interface") // LL-07
	shouting := romeo
	shouting.Instance = "ROMEO@h1"
	r.set(shouting)
	wantNews("other case is the same peer", PeerChanged{shouting})
	r.set(away)
	r.set(romeo)
	r.set(away)
	wantNews("only the last state is told", PeerChanged{away})
	r.remove("romeo@H1")
	wantNews("gone", PeerVanished{"romeo@h1"})
	r.remove("romeo@h1")
	wantNews("gone twice")
	r.set(romeo)
	r.remove("romeo@h1")
	wantNews("gone before it was told")
	r.set(romeo)
	wantNews("back", PeerAppeared{romeo})
	r.remove("romeo@h1")
	r.set(romeo)
	wantNews("gone and back before it was told")
	if len(r.peers) != 1 || r.get("romeo@h1") == nil {
		t.Errorf("roster: %v", r.peers)
	}
}

func TestRosterIsBoundedAndRefusesNamesThatAreNoText(t *testing.T) {
	r := newRoster(2)
	for name, want := range map[Instance]bool{"": false, "a\xff@h": false, "a\x07@h": false, "wjt@bael (2)": true} {
		if got := r.set(Peer{Instance: name}); got != want {
			t.Errorf("set(%q) = %v", name, got)
		}
	}
	if !r.set(Peer{Instance: "b@h"}) || r.set(Peer{Instance: "c@h"}) || !r.set(Peer{Instance: "b@h", Port: 1}) {
		t.Error("limit of two peers")
	}
	r.remove("b@h")
	newsOf(r)
	if !r.set(Peer{Instance: "c@h"}) {
		t.Error("no room after a peer has gone")
	}
}

func TestRosterUnblocksWhoWaitsForAPeerThatIsGone(t *testing.T) {
	r := newRoster(2)
	r.set(Peer{Instance: "a@h"})
	wait := r.announced("a@h")
	r.remove("a@h")
	newsOf(r)
	select {
	case <-wait:
	default:
		t.Error("still waiting")
	}
}

func TestRosterFindsPeersByAddress(t *testing.T) {
	r := newRoster(10)
	r.set(Peer{Instance: "b@h1", Addrs: addrs("10.0.0.1", "fe80::1%eth0")})
	r.set(Peer{Instance: "a@h1", Addrs: addrs("10.0.0.1")})
	r.set(Peer{Instance: "c@h2", Addrs: addrs("10.0.0.2", "fe80::1%eth1")})
	for a, want := range map[string][]Instance{
		"10.0.0.1": {"a@h1", "b@h1"}, "::ffff:10.0.0.2": {"c@h2"}, "10.0.0.3": nil,
		"fe80::1%eth0": {"b@h1"}, "fe80::1%eth1": {"c@h2"}, "fe80::1": {"b@h1", "c@h2"},
	} {
		if diff := cmp.Diff(want, r.at(netip.MustParseAddr(a))); diff != "" {
			t.Errorf("%s: %s", a, diff)
		}
	}
}
