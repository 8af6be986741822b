package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	us    = netip.MustParsePrefix("10.0.0.1/24")
	bob   = netip.MustParseAddr("10.0.0.2")
	carol = netip.MustParseAddr("10.0.0.3")
	gate  = netip.MustParseAddr("10.0.0.254")
)

// good is a LAN, a server and a gateway on which nothing is wrong.
func good() Facts {
	return Facts{
		Now: noon, Built: noon.Add(-time.Hour), Named: true,
		Links:   []Link{{Name: "eth0", Up: true, Running: true, Multicast: true, Prefixes: []netip.Prefix{us}}},
		Route:   Route{Known: true, From: us.Addr()},
		LANs:    []LAN{{Link: "eth0", Wait: time.Second, Sent: 2, Looped: true, Multicast: []netip.Addr{bob}, CanHear: true}},
		Gateway: Gateway{Running: true, Online: true, Server: "online as gw@example.org"},
		Server: Server{
			Asked: true, Addr: "xmpp.example.org:5222", TLS: true, CertExpires: noon.Add(90 * 24 * time.Hour), SM: true, Resumable: true,
			ResumeMax: 10 * time.Minute, PEP: true, VCard: true, Blocking: true, Carbons: true, Archive: true, Ping: true,
			Rooms: "conference.example.org", HasTime: true, Ahead: time.Second,
		},
	}
}

func TestGoodFactsAreAllWell(t *testing.T) {
	for _, f := range Judge(good()) {
		if f.Severity != OK || f.Text == "" || f.Mend != "" {
			t.Errorf("%+v", f)
		}
	}
}

// Without a configuration nobody was asked for the gateway's names, and without
// permission the gateway was not asked.
func TestNothingIsSaidOfWhatWasNotAsked(t *testing.T) {
	f := good()
	f.Named, f.Gateway = false, Gateway{Closed: true}
	found := map[string]Severity{}
	for _, x := range Judge(f) {
		found[x.Check] = x.Severity
	}
	if s, said := found["name-conflict"]; said || found["gateway"] != Note {
		t.Errorf("of names %q, of the gateway %q", s, found["gateway"])
	}
}

// Each case spoils one thing, and exactly that is found.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name        string
		spoil       func(f *Facts)
		want        string // severity and check of all that is not ok or a note
		words, mend string // of it
	}{
		{"no interface at all", func(f *Facts) { f.Links, f.LANs, f.Route = nil, nil, Route{} }, "fault interface", "there is none", "connect"},
		{"down", func(f *Facts) { f.Links[0].Up = false; f.LANs = nil }, "fault interface", "eth0 is switched off", "ip link set eth0 up"},
		{"no cable", func(f *Facts) { f.Links[0].Running = false; f.LANs = nil }, "fault interface", "no cable", "plug in"},
		{"no multicast flag", func(f *Facts) { f.Links[0].Multicast = false; f.LANs = nil }, "fault interface", "multicast", "multicast on"},
		{"no address", func(f *Facts) { f.Links[0].Prefixes = nil; f.LANs = nil }, "fault interface", "no address", "DHCP"},
		{"missing", func(f *Facts) { f.Wanted = []string{"eth0", "wlan7"} }, "fault interface", "no interface wlan7", "eth0"},
		{"configured and down", func(f *Facts) { f.Wanted = []string{"eth0", "eth1"}; f.Links = append(f.Links, Link{Name: "eth1"}) }, "fault interface", "eth1 is switched off", "ip link set eth1 up"},
		{"one subnet twice", func(f *Facts) { f.Links = append(f.Links, f.Links[0]); f.Links[1].Name = "wlan0" }, "warning subnet", "eth0 and wlan0 are both in the network 10.0.0.0/24", "bridge"},
		{"a tunnel's prefix covers the LAN", func(f *Facts) {
			f.Links = append(f.Links, Link{Name: "wg0", Up: true, Running: true, Multicast: true, Tunnel: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/8")}})
		}, "", "", ""},
		{"one subnet twice, elsewhere", func(f *Facts) {
			for _, name := range []string{"veth1", "veth2"} {
				f.Links = append(f.Links, Link{Name: name, Up: true, Running: true, Multicast: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")}})
			}
		}, "", "", ""},

		{"no route", func(f *Facts) { f.Route = Route{Known: true, Err: "network is unreachable"} }, "fault multicast-route", "network is unreachable", "ip route add 224.0.0.0/4 dev eth0"},
		{"route elsewhere", func(f *Facts) { f.Route.From = bob }, "warning multicast-route", "from 10.0.0.2", "ip route add"},
		{"port taken", func(f *Facts) { f.Port, f.LANs = Port{Err: "in use", InUse: true, Holder: "mdnsd (process 7)"}, nil }, "fault port", "mdnsd (process 7)", "stop that program"},
		{"port taken by nobody knows", func(f *Facts) { f.Port, f.LANs = Port{Err: "in use", InUse: true}, nil }, "fault port", "another program", "stop"},
		{"port forbidden", func(f *Facts) { f.Port, f.LANs = Port{Err: "permission denied"}, nil }, "fault port", "permission denied", "sandbox"},

		{"filtered", func(f *Facts) { f.LANs[0].SendErr, f.LANs[0].Filtered, f.LANs[0].Looped = "not permitted", true, false }, "fault firewall", "does not let us send", "allow outgoing"},
		{"cannot send", func(f *Facts) { f.LANs[0].SendErr = "no buffer space" }, "fault send", "no buffer space", "ip addr"},
		{"not looped", func(f *Facts) { f.LANs[0].Looped, f.LANs[0].Multicast = false, nil }, "fault firewall", "drops what comes", "allow incoming"},
		{"snooping", func(f *Facts) { f.LANs[0].Multicast, f.LANs[0].Unicast = nil, []netip.Addr{bob, carol} }, "fault snooping", "hosts answer when asked directly (10.0.0.2 and 10.0.0.3)", "querier"},
		{"snooping with querier", func(f *Facts) {
			f.LANs[0].Multicast, f.LANs[0].Unicast, f.LANs[0].Querier = nil, []netip.Addr{bob}, gate
		}, "fault snooping", "although there is an IGMP querier (10.0.0.254)", "snooping"},
		{"snooping by our own bridge", func(f *Facts) {
			f.LANs[0].Multicast, f.LANs[0].Unicast = nil, []netip.Addr{bob}
			f.Links[0].Bridge, f.Links[0].Snooping = "br7", true
		}, "fault snooping", "IGMP snooping", "ip link set br7 type bridge mcast_querier 1"},
		{"isolation", func(f *Facts) {
			f.LANs[0].Multicast, f.LANs[0].Swept, f.LANs[0].Router, f.LANs[0].RouterUp = nil, true, gate, true
		}, "warning isolation", "only the router 10.0.0.254", "client isolation"},
		{"not even the router", func(f *Facts) { f.LANs[0].Multicast, f.LANs[0].Swept, f.LANs[0].Router = nil, true, gate }, "fault unreachable", "not even the router", "cable"},
		{"alone", func(f *Facts) { f.LANs[0].Multicast, f.LANs[0].Swept = nil, true }, "warning alone", "nobody else", "cable"},
		{"silent neighbours", func(f *Facts) {
			f.LANs[0].Multicast, f.LANs[0].Swept, f.LANs[0].Neighbours = nil, true, []netip.Addr{bob}
		}, "warning alone", "other hosts on eth0 (10.0.0.2), but none that speaks mDNS", "chat client"},
		{"cut short", func(f *Facts) { f.LANs[0].Multicast = nil }, "warning alone", "nobody was heard", "-wait"},
		{"IPv6 works", func(f *Facts) {
			f.LANs = append(f.LANs, LAN{Link: "eth0", IPv6: true, Looped: true, Multicast: []netip.Addr{bob}})
		}, "", "", ""},
		{"nobody has IPv6", func(f *Facts) { f.LANs = append(f.LANs, LAN{Link: "eth0", IPv6: true, Looped: true}) }, "", "", ""},
		{"IPv6 filtered", func(f *Facts) { f.LANs = append(f.LANs, LAN{Link: "eth0", IPv6: true}) }, "warning firewall", "drops mDNS by IPv6 on eth0", "ff02::fb"},
		{"IPv6 cannot send", func(f *Facts) { f.LANs = append(f.LANs, LAN{Link: "eth0", IPv6: true, SendErr: "no route"}) }, "warning send", "by IPv6: no route", "lan.ipv6"},
		{"IPv6 alone filtered", func(f *Facts) { f.LANs = []LAN{{Link: "eth0", IPv6: true}} }, "fault firewall", "drops mDNS by IPv6", "ff02::fb"},
		{"IPv6 alone and nobody", func(f *Facts) { f.LANs = []LAN{{Link: "eth0", IPv6: true, Looped: true}} }, "warning alone", "it has no IPv4", "IPv4 address"},
		{"reflector", func(f *Facts) { f.LANs[0].Echoes = []Echo{{bob, 2}} }, "", "", ""},
		{"reflector loop", func(f *Facts) { f.LANs[0].Echoes = []Echo{{bob, 30}, {carol, 29}} }, "fault reflector", "came back 59 times within 1s, from 10.0.0.2 and 10.0.0.3", "no more than one host"},

		{"name held", func(f *Facts) { f.LANs[0].Held = []Held{{"alice@gw", bob, "h2.local"}} }, "fault name-conflict", "“alice@gw” is held by h2.local (10.0.0.2)", "lan.machine"},
		{"name held and changed", func(f *Facts) {
			f.LANs[0].Held = []Held{{"alice@gw", bob, "h2.local"}}
			f.Gateway.Renamed = []Renamed{{"alice@gw", "alice1@gw"}}
		}, "fault name-conflict", "held by h2.local", "lan.machine"},
		{"name changed", func(f *Facts) { f.Gateway.Renamed = []Renamed{{"alice@gw", "alice1@gw"}} }, "fault name-conflict", "called “alice1@gw”", "meshgate browse"},

		{"server away", func(f *Facts) { f.Server = Server{Err: "nobody answers", Problem: "unreachable"} }, "fault server", "nobody answers", "firewall"},
		{"strange trouble", func(f *Facts) { f.Server = Server{Err: "it broke", Problem: "trouble"} }, "fault server", "it broke", "log"},
		{"gateway offline", func(f *Facts) { f.Gateway.Online, f.Gateway.Server = false, "offline, conflict" }, "fault server", "offline, conflict", "journalctl"},
		{"no password", func(f *Facts) { f.Server = Server{Skipped: "the password is not there"} }, "", "", ""},
		{"no TLS", func(f *Facts) { f.Server.TLS = false }, "warning tls", "not encrypted", "starttls"},
		{"old certificate", func(f *Facts) { f.Server.CertExpires = noon.Add(24 * time.Hour) }, "warning tls", "7 May 2026", "renew"},
		{"no SM", func(f *Facts) { f.Server.SM = false }, "fault stream-management", "no stream management", "smacks"},
		{"no resumption", func(f *Facts) { f.Server.Resumable = false }, "warning stream-management", "without resumption", "smacks"},
		{"short resumption", func(f *Facts) { f.Server.ResumeMax = 5 * time.Second }, "warning stream-management", "5s only", "five minutes"},
		{"poor server", func(f *Facts) {
			f.Server.PEP, f.Server.VCard, f.Server.Blocking, f.Server.Carbons, f.Server.Archive, f.Server.Ping, f.Server.Rooms = false, false, false, false, false, false, ""
		}, "", "", ""},

		{"clock behind", func(f *Facts) { f.Server.Ahead = 2 * time.Hour }, "fault clock", "2h0m0s behind", "timedatectl"},
		{"clock ahead", func(f *Facts) { f.Server.Ahead = -6 * time.Minute }, "fault clock", "6m0s ahead of", "timedatectl"},
		{"clock a little off", func(f *Facts) { f.Server.Ahead = 4 * time.Minute }, "", "", ""},
		{"clock of long ago", func(f *Facts) { f.Now = f.Built.Add(-25 * time.Hour) }, "fault clock", "before this program was installed", "timedatectl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := good()
			tt.spoil(&f)
			var found []string
			for _, x := range Judge(f) {
				if x.Severity == OK || x.Severity == Note {
					continue
				}
				found = append(found, string(x.Severity)+" "+x.Check)
				if !strings.Contains(x.Text, tt.words) || !strings.Contains(x.Mend, tt.mend) || x.Mend == "" {
					t.Errorf("%q, mend by %q; want %q, %q", x.Text, x.Mend, tt.words, tt.mend)
				}
			}
			if got := strings.Join(found, ", "); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNotesSayWhatIsLost(t *testing.T) {
	f := good()
	f.Server.PEP, f.Server.VCard, f.Server.Rooms = false, false, ""
	f.LANs[0].Echoes = []Echo{{bob, 1}}
	var text string
	for _, x := range Judge(f) {
		if x.Severity == Note {
			text += x.Text + "\n"
		}
	}
	for _, want := range []string{"pictures are not passed on", "rooms cannot be bridged", "10.0.0.2 reflects mDNS"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes do not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "XEP-0084") {
		t.Errorf("the same twice:\n%s", text)
	}
}

func TestWorstFindingsComeFirst(t *testing.T) {
	f := good()
	f.Server.Resumable, f.Server.Ping, f.Server.Ahead = false, false, time.Hour
	last := 0
	order := map[Severity]int{Fault: 0, Warning: 1, Note: 2, OK: 3}
	for _, x := range Judge(f) {
		if order[x.Severity] < last {
			t.Errorf("%s comes late: %+v", x.Severity, x)
		}
		last = order[x.Severity]
	}
	if Count(Judge(f), Fault) != 1 || Count(Judge(f), Warning) != 1 {
		t.Errorf("%+v", Judge(f))
	}
}

func TestLinksThatAreUsed(t *testing.T) {
	v6 := []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}
	good := Link{Up: true, Running: true, Multicast: true}
	link := func(name string, p []netip.Prefix, tunnel bool) Link {
		l := good
		l.Name, l.Prefixes, l.Tunnel = name, p, tunnel
		return l
	}
	f := Facts{Links: []Link{link("tun0", []netip.Prefix{us}, true), link("eth0", v6, false), link("eth1", []netip.Prefix{us}, false), link("eth2", []netip.Prefix{us}, false)}}
	for _, tt := range []struct {
		wanted []string
		used   string
	}{
		{nil, "eth1"},
		{[]string{"eth0", "tun0", "none"}, "tun0 eth0"},
	} {
		f.Wanted = tt.wanted
		if got := strings.Join(linkNames(f.Used()), " "); got != tt.used {
			t.Errorf("wanted %q: used %q, want %q", tt.wanted, got, tt.used)
		}
	}
	f.Links[3].Routed, f.Wanted = true, nil
	if got := strings.Join(linkNames(f.Used()), " "); got != "eth2" {
		t.Errorf("used %q, not the one of the default route", got)
	}
	only6 := Facts{
		Links: []Link{link("eth0", v6, false)}, Route: Route{Known: true, Err: "no route"},
		LANs: []LAN{{Link: "eth0", IPv6: true, Looped: true, Multicast: []netip.Addr{bob}}},
	}
	for _, x := range Judge(only6) {
		if x.Severity == Fault || x.Severity == Warning {
			t.Errorf("IPv6 only: %+v", x)
		}
	}
}

func TestManyHostsAreNotAllNamed(t *testing.T) {
	if got := hosts([]netip.Addr{us.Addr(), bob, carol, gate, gate}); got != "10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more" {
		t.Errorf("hosts: %q", got)
	}
}
