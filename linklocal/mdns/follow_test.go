package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// LL-18: present on all configured links, one entry per peer; a link that
// comes is taken into use under the same names, one that goes takes along only
// what was seen on it alone.
func TestConnWorksOnSeveralLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var world fakeWorld
		wifi := &fakeLAN{}
		gw := world.connOn(ConnConfig{Host: "gw", Interfaces: []string{"eth0", "wlan0"}}, "10.0.0.1")
		a := world.conn("a", "10.0.0.2") // by cable
		b := world.connOn(ConnConfig{Host: "b", Interfaces: []string{"eth0", "wlan0"}}, "10.0.0.3")
		c := world.conn("c")
		for i, r := range []*running{b, c} {
			r.host.setOn("wlan0", 3, fmt.Sprintf("10.1.0.%d", 3+i), "fe80::"+r.cfg.Host)
			r.host.nic("wlan0", func(n *fakeNIC) { n.lan = wifi })
		}
		gw.Register(service("mirror"))
		a.Register(service("anna"))
		b.Register(service("both"))
		c.Register(service("carl"))
		for _, r := range []*running{gw, a, b, c} {
			r.start()
		}
		time.Sleep(5 * time.Second)
		if _, ok := gw.entry("carl"); ok {
			t.Error("sees whoever is on another LAN")
		}
		gw.host.setOn("wlan0", 3, "10.1.0.1", "fe80::1")
		gw.host.nic("wlan0", func(n *fakeNIC) { n.lan = wifi })
		gw.host.notify()
		time.Sleep(4 * time.Second)
		for instance, want := range map[string][]string{"anna": {"eth0"}, "both": {"eth0", "wlan0"}, "carl": {"wlan0"}} {
			if e, _ := gw.entry(instance); !slices.Equal(e.Links, want) {
				t.Errorf("%s is seen on %q, want %q", instance, e.Links, want)
			}
		}
		if e, _ := gw.entry("both"); len(e.Addrs) != 3 {
			t.Errorf("addresses of both links: %v", e.Addrs)
		}
		for _, r := range []*running{a, c} {
			if e, ok := r.entry("mirror"); !ok || len(e.Addrs) != len(r.Links()[0].Prefixes) {
				t.Errorf("%s sees %v, want the addresses of its own LAN", r.cfg.Host, e)
			}
		}
		if links := gw.Links(); len(links) != 2 || links[1].Name != "wlan0" || len(links[1].Prefixes) != 2 {
			t.Errorf("links %v", links)
		}
		if e, err := gw.Resolve(t.Context(), "carl", testType); err != nil || !slices.Equal(e.Links, []string{"wlan0"}) {
			t.Errorf("resolved %v, %v", e, err)
		}
		gw.host.cable(false)
		gw.host.notify()
		time.Sleep(linkSettle + linkGrace + 100*ms)
		if _, ok := gw.entry("anna"); ok {
			t.Error("anna is still seen, though the cable is out")
		}
		if e, _ := gw.entry("both"); !slices.Equal(e.Links, []string{"wlan0"}) {
			t.Errorf("both is seen on %q", e.Links)
		}
		for _, r := range []*running{gw, a, b, c} {
			r.stop(t)
		}
	})
}

// LL-18: IPv4 only, IPv6 only and both; each packet by every family there is.
func TestConnSpeaksEveryFamilyOfItsLink(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b []string
	}{
		{"both", []string{"10.0.0.1", "fe80::1"}, []string{"10.0.0.2", "fe80::2"}},
		{"IPv6 only", []string{"fe80::1"}, []string{"fe80::2"}},
		{"one has both", []string{"10.0.0.1", "fe80::1"}, []string{"fe80::2"}},
		{"the other has both", []string{"10.0.0.1"}, []string{"10.0.0.2", "fe80::2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var world fakeWorld
				a, b := world.conn("a", tt.a...), world.conn("b", tt.b...)
				a.Register(service("x"))
				b.Register(service("y"))
				a.start()
				b.start()
				time.Sleep(10 * time.Second)
				e, ok := b.entry("x")
				if !ok || len(e.Addrs) != len(tt.a) {
					t.Errorf("b sees %v", e)
				}
				if _, ok := a.entry("y"); !ok {
					t.Error("a does not see y")
				}
				if e, err := b.Resolve(t.Context(), "x", testType); err != nil || e.Port != 5298 {
					t.Errorf("resolved %v, %v", e, err)
				}
				if s := a.Stats(); s.Conflicts > 0 {
					t.Errorf("conflicts: %+v", s)
				}
				if s := b.Stats(); len(tt.a) == 2 && len(tt.b) == 2 && (s.Twins == 0 || s.OwnEchoes < s.PacketsOut) {
					t.Errorf("copies were not recognised: %+v", s)
				}
				a.stop(t)
				b.stop(t)
			})
		})
	}
}

// LL-18: who has slept has missed goodbyes, and was forgotten by others.
func TestConnStartsOverAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var world fakeWorld
		a, b := world.conn("a", "10.0.0.1"), world.conn("b", "10.0.0.2")
		a.Register(service("x"))
		b.Register(service("y"))
		a.start()
		b.start()
		time.Sleep(30*time.Second + 100*ms) // just after a look at the interfaces
		a.host.cable(false)                 // nothing is heard while one sleeps …
		b.stop(t)
		a.host.cable(true) // … and all is as before
		time.Sleep(20 * time.Second)
		if _, ok := a.entry("y"); !ok {
			t.Fatal("the test is wrong: a has heard the goodbye")
		}
		before := a.Stats().PacketsOut
		a.host.sleep(time.Hour)
		time.Sleep(linkPoll + 5*time.Second)
		if a.Stats().PacketsOut < before+5 {
			t.Error("nothing was probed, announced and asked for")
		}
		time.Sleep(answerTime)
		if _, ok := a.entry("y"); ok {
			t.Error("y is still seen")
		}
		a.stop(t)
	})
}

// LL-18, LL-01: a change of address is announced as soon as the kernel tells.
func TestConnAnnouncesANewAddressAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var world fakeWorld
		a, b := world.conn("a", "10.0.0.1"), world.conn("b", "10.0.0.2")
		a.Register(service("x"))
		a.start()
		b.start()
		time.Sleep(30*time.Second + 100*ms) // just after a look at the interfaces
		a.host.set(2, "10.0.0.9")
		a.host.notify()
		time.Sleep(linkSettle + 50*ms)
		if e, _ := b.entry("x"); !slices.Contains(e.Addrs, netip.MustParseAddr("10.0.0.9")) {
			t.Errorf("b sees %v", e.Addrs)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestChoose(t *testing.T) {
	nic := func(name string, running bool, addrs ...string) candidate {
		c := candidate{Link: Link{Name: name}, running: running}
		for _, a := range addrs {
			c.Prefixes = append(c.Prefixes, fakePrefix(a))
		}
		return c
	}
	eth0, eth1, six, bare, out := nic("eth0", true, "10.0.0.1"), nic("eth1", true, "10.0.1.1"), nic("six", true, "fe80::1"), nic("bare", true), nic("out", false, "10.0.2.1")
	wan, late := nic("wan", true, "10.0.3.1"), nic("late", true, "fe80::2")
	wan.routed, late.routed = true, true
	tun := nic("tun0", true, "10.9.0.1")
	tun.tunnel = true
	var many []candidate
	var names []string
	for i := range 2 * MaxLinks {
		many = append(many, nic(fmt.Sprint("e", i), true, "10.0.0.1"))
		names = append(names, fmt.Sprint("e", i))
	}
	for _, tt := range []struct {
		reason  string
		found   []candidate
		names   []string
		current string
		want    []string
	}{
		{"the first", []candidate{eth0, eth1}, nil, "", []string{"eth0"}},
		{"the one in use stays", []candidate{eth0, eth1}, nil, "eth1", []string{"eth1"}},
		{"IPv4 is better", []candidate{six, eth0}, nil, "six", []string{"eth0"}},
		{"IPv6 will do", []candidate{bare, six}, nil, "", []string{"six"}},
		{"not the bridge of our containers, which was up before DHCP", []candidate{eth0, wan}, nil, "eth0", []string{"wan"}},
		{"even with IPv6 alone", []candidate{eth0, late}, nil, "eth0", []string{"late"}},
		{"without a cable it is gone", []candidate{out, eth1}, nil, "out", []string{"eth1"}},
		{"a tunnel only by name", []candidate{tun, six}, nil, "", []string{"six"}},
		{"by name", []candidate{eth0, tun, six, out, bare}, []string{"six", "tun0", "out", "bare"}, "", []string{"tun0", "six"}},
		{"nothing", []candidate{bare, out}, nil, "", nil},
		{"at most so many", many, names, "", names[:MaxLinks]},
	} {
		var got []string
		for _, l := range choose(tt.found, tt.names, tt.current) {
			got = append(got, l.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.reason, got, tt.want)
		}
	}
}

// Without IPv6 nothing of it is used or published.
func TestConnWithoutIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var world fakeWorld
		a, b := world.conn("a", "10.0.0.1", "fe80::1"), world.conn("b", "10.0.0.2", "fe80::2")
		a.cfg.IPv6 = false
		a.Register(service("x"))
		a.start()
		b.start()
		time.Sleep(5 * time.Second)
		if e, _ := b.entry("x"); len(e.Addrs) != 1 || !e.Addrs[0].Is4() {
			t.Errorf("b sees %v", e.Addrs)
		}
		if links := a.Links(); len(links) != 1 || len(links[0].Prefixes) != 1 {
			t.Errorf("links %v", links)
		}
		if n := len(world.opened()); n != 3 {
			t.Errorf("%d sockets, want one and two", n)
		}
		a.stop(t)
		b.stop(t)
	})
}

// RFC 6762 §11: what is sent to our address from beyond the link is not read.
func TestPacketsFromBeyondTheLinkAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var world fakeWorld
		a := world.conn("a", "10.0.0.1", "fe80::1", "2001:db8::1")
		a.start()
		time.Sleep(5 * time.Second)
		for i, src := range []string{"10.0.1.1", "2001:db8:1::1", "10.0.0.9", "fe80::9", "2001:db8::9"} {
			from := netip.AddrPortFrom(netip.MustParseAddr(src), mdnsPort)
			s := world.opened()[familyOf(from.Addr())]
			before := a.Stats()
			s.in <- received{arrival{2, from, true}, []byte("no packet")}
			time.Sleep(ms)
			after := a.Stats()
			if off := after.OffLink > before.OffLink; off != (i < 2) || after.Malformed > before.Malformed == off {
				t.Errorf("from %s: off the link: %v", src, off)
			}
		}
		a.stop(t)
	})
}
