package doctor

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const testMark = "meshgate-doctor-0123456789abcdef"

func newTestEar(running bool) *ear {
	return newEar([]netip.Addr{us.Addr()}, testMark, Names{Host: "gw", Instances: []string{"Ali. ce@gw"}, Running: running})
}

func response(t *testing.T, records ...string) []byte {
	t.Helper()
	m := dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEarTellsOwnOthersAndEchoes(t *testing.T) {
	e := newTestEar(false)
	e.hear(greeting(testMark), us.Addr(), true) // back from our own kernel
	e.hear(greeting(testMark), carol, true)     // a reflector's
	e.hear(greeting(testMark), carol, true)
	e.hear(greeting("meshgate-doctor-of-another"), bob, true)
	e.hear(response(t, "h4.local. 120 A 10.0.0.4"), netip.MustParseAddr("10.0.0.4"), false)
	e.hear(greeting(""), us.Addr(), true) // another stack on this host
	var l LAN
	e.tell(&l)
	want := LAN{
		Looped: true, Multicast: []netip.Addr{bob}, Unicast: []netip.Addr{netip.MustParseAddr("10.0.0.4")}, Echoes: []Echo{{carol, 2}},
	}
	if diff := cmp.Diff(want, l, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOwnPacketsWithoutTheMarkAreNoProof(t *testing.T) {
	e := newTestEar(false)
	e.hear(greeting(""), us.Addr(), true)
	e.hear(greeting(testMark), us.Addr(), false)
	if e.looped {
		t.Error("another program's packet was taken for our own")
	}
}

func TestEarFindsWhoHoldsOurNames(t *testing.T) {
	const instance = `Ali\.\032ce\@gw._presence._tcp.local. `
	for _, tt := range []struct {
		name    string
		record  string
		src     netip.Addr
		running bool
		want    []Held
	}{
		{"another's instance", instance + "120 SRV 0 0 5298 h2.local.", bob, false, []Held{{"Ali. ce@gw", bob, "h2.local"}}},
		{"in capitals", `ALI\.\ CE\064GW._presence._tcp.local. 120 SRV 0 0 5298 h2.local.`, bob, false, []Held{{"Ali. ce@gw", bob, "h2.local"}}},
		{"another on this machine", instance + "120 SRV 0 0 5298 h1.local.", us.Addr(), false, []Held{{"Ali. ce@gw", us.Addr(), "h1.local"}}},
		{"our gateway's", instance + "120 SRV 0 0 5298 GW.local.", us.Addr(), true, nil},
		{"our gateway's, reflected", instance + "120 SRV 0 0 5298 gw.local.", bob, true, nil},
		{"another gateway of the same name", instance + "120 SRV 0 0 5298 gw.local.", bob, false, []Held{{"Ali. ce@gw", bob, "gw.local"}}},
		{"goodbye", instance + "0 SRV 0 0 5298 h2.local.", bob, false, nil},
		{"somebody else's name", "bob._presence._tcp.local. 120 SRV 0 0 5298 h2.local.", bob, false, nil},
		{"another's host name", "gw.local. 120 A 10.0.0.2", bob, false, []Held{{"gw.local", bob, ""}}},
		{"our own host name", "gw.local. 120 A 10.0.0.1", us.Addr(), true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newTestEar(tt.running)
			e.hear(response(t, tt.record), tt.src, true)
			var l LAN
			e.tell(&l)
			if diff := cmp.Diff(tt.want, l.Held, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFloodIsNotRemembered(t *testing.T) {
	e := newTestEar(false)
	a := netip.MustParseAddr("10.1.0.0")
	for range 2 * maxHosts {
		a = a.Next()
		e.hear(greeting(""), a, true)
		e.hear(greeting(""), a.Next(), false)
		e.hear(greeting(testMark), a, true)
	}
	if len(e.multicast) > maxHosts || len(e.unicast) > maxHosts || len(e.echoes) > maxHosts {
		t.Errorf("%d, %d and %d hosts remembered", len(e.multicast), len(e.unicast), len(e.echoes))
	}
}

func TestEveryNameIsAskedForInPacketsThatFit(t *testing.T) {
	n := Names{Host: "gw"}
	for range 300 {
		n.Instances = append(n.Instances, "somebody with a name that is as long as a label can be long@gw")
	}
	asked := 0
	for _, b := range nameQuestions(n) {
		var m dns.Msg
		if err := m.Unpack(b); err != nil || len(b) > 1440 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		asked += len(m.Question)
	}
	if asked != maxNames+1 {
		t.Errorf("asked for %d names, want the host's and %d", asked, maxNames)
	}
}

func TestAddressesAround(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"10.0.0.1/24":     {"10.0.0.2", "10.0.0.254"},
		"10.0.7.9/16":     {"10.0.7.1", "10.0.7.254"},
		"192.168.1.2/30":  {"192.168.1.1", "192.168.1.1"},
		"192.168.1.2/31":  {"192.168.1.3", "192.168.1.3"},
		"255.255.255.9/8": {"255.255.255.1", "255.255.255.254"},
	} {
		own := netip.MustParsePrefix(prefix)
		list := around(own, maxSweep)
		if len(list) == 0 || list[0].String() != want[0] || list[len(list)-1].String() != want[1] {
			t.Errorf("around %s: %v", prefix, list)
		}
		for _, a := range list {
			if a == own.Addr() {
				t.Errorf("around %s: our own address", prefix)
			}
		}
	}
}

func FuzzHear(f *testing.F) {
	f.Add(greeting(testMark))
	f.Add([]byte("\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x02gw\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\x0a\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := newTestEar(false)
		e.hear(b, bob, true)
		var l LAN
		e.tell(&l)
		if len(l.Held) > 2 {
			t.Errorf("%d names held, of two", len(l.Held))
		}
	})
}
