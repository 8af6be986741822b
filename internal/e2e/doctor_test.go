package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// wantDiagnosis checks that the doctor names exactly these faults, with those
// words in the first, and says so with its exit code.
func wantDiagnosis(t *testing.T, d Diagnosis, faults, words string) {
	t.Helper()
	code := 0
	if faults != "" {
		code = 1
	}
	if d.Faults() != faults || d.Exit != code {
		t.Errorf("faults %q, exit code %d; want %q, %d", d.Faults(), d.Exit, faults, code)
	}
	first, _, _ := strings.Cut(faults, " ")
	f := d.Of(first)
	if !strings.Contains(f.Text, words) || faults != "" && f.Mend == "" {
		t.Errorf("it says %q, mend by %q; want %q", f.Text, f.Mend, words)
	}
	for _, f := range d.Findings {
		if f.Severity == "warning" {
			t.Errorf("a warning about nothing: %+v", f)
		}
	}
	if t.Failed() {
		t.Logf("all of it: %+v", d.Findings)
	}
}

// A program that takes the port for itself, as some do.
const greedy = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5353))
print('bound', flush=True)
time.sleep(1000)`

// A reflector that knows no other beside it. It is slow, and gets tired, so
// that two of them do not keep the machine busy.
const reflector = `import select, socket, sys, time
own, socks = sys.argv[1:], []
for a in own:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IP, 49, 0) # IP_MULTICAST_ALL: what comes by another interface is for the other socket
    s.bind(('', 5353))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('224.0.0.251') + socket.inet_aton(a))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(a))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    socks.append(s)
print('reflecting', flush=True)
for _ in range(400):
    for s in select.select(socks, [], [])[0]:
        data, (src, _) = s.recvfrom(9000)
        if src not in own:
            time.sleep(0.005)
            socks[1 - socks.index(s)].sendto(data, ('224.0.0.251', 5353))`

func TestDoctorNamesTheFaultOfTheLAN(t *testing.T) {
	for name, tt := range map[string]struct {
		hosts         int
		spoil         func(lab *Lab, h1 *Host)
		args          []string
		faults, words string
	}{
		"nothing":                   {2, func(lab *Lab, _ *Host) { lab.Host("h2").Avahi() }, nil, "", ""},
		"avahi on the same machine": {2, func(lab *Lab, _ *Host) { lab.Avahi() }, nil, "", ""},
		"no multicast route": {2, func(lab *Lab, h1 *Host) {
			lab.Host("h2").Avahi()
			h1.ip("route del 224.0.0.0/4\n")
		}, nil, "multicast-route", "no multicast route"},
		"interface down":    {1, func(_ *Lab, h1 *Host) { h1.Link(false) }, nil, "interface", "eth0 is switched off"},
		"interface missing": {1, func(*Lab, *Host) {}, []string{"-interface", "eth7"}, "interface", "there is no interface eth7"},
		"no address":        {1, func(_ *Lab, h1 *Host) { h1.ip("addr flush dev eth0\n") }, nil, "interface", "eth0 has no address"},
		"port taken": {1, func(_ *Lab, h1 *Host) { h1.Start(python, "-c", greedy).Expect("^bound$") }, nil,
			"port", "taken: python3"},
		"firewall lets nothing in": {2, func(lab *Lab, h1 *Host) {
			lab.Host("h2").Avahi()
			h1.filter("wall", "  udp dport 5353 drop\n")
		}, nil, "firewall", "drops what comes"},
		"firewall lets nothing out": {2, func(lab *Lab, h1 *Host) {
			lab.Host("h2").Avahi()
			h1.Output("nft", "add table inet wall; add chain inet wall out { type filter hook output priority 0; }; add rule inet wall out udp dport 5353 drop")
		}, nil, "firewall", "does not let us send"},
		"both families": {2, func(lab *Lab, _ *Host) { lab.Host("h2").Avahi() }, nil, "", ""},
		"IPv6 alone": {2, func(lab *Lab, _ *Host) {
			lab.Host("h2").Avahi()
			lab.Host("h2").Publish("bob@h2", PresenceService, 5298, "txtvers=1")
		}, nil, "", ""},
		"IPv6 alone, and walled in": {2, func(lab *Lab, h1 *Host) {
			lab.Host("h2").Avahi()
			h1.filter("wall", "  udp dport 5353 drop\n")
		}, nil, "firewall", "drops mDNS by IPv6"},
		"switch that delivers no multicast": {3, func(lab *Lab, _ *Host) {
			startAvahi(lab.Host("h2"), lab.Host("h3"))
			lab.onBridge("link set h1-eth0 type bridge_slave mcast_flood off\n")
		}, nil, "snooping", "IGMP snooping"},
		"two reflectors": {3, func(lab *Lab, _ *Host) {
			for _, h := range lab.Hosts()[1:] {
				h.Start(python, "-c", reflector, h.Addr().String(), h.AddNIC(2).String()).Expect("^reflecting$")
			}
		}, nil, "reflector", "a reflector loop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := NewLab(t, Options{Hosts: tt.hosts, IPv6: name == "both families", IPv6Only: strings.HasPrefix(name, "IPv6 alone")})
			h1 := lab.Host("h1")
			tt.spoil(lab, h1)
			wantDiagnosis(t, h1.Doctor(tt.args...), tt.faults, tt.words)
		})
	}
}

// Clients that are kept apart look like nobody being there: that is a warning,
// not a fault.
func TestDoctorSuspectsThatClientsAreKeptApart(t *testing.T) {
	t.Parallel()
	lab := NewLab(t, Options{Hosts: 3})
	h1 := lab.Host("h1")
	lab.Host("h3").Avahi()
	lab.onBridge("link set h1-eth0 type bridge_slave isolated on\nlink set h3-eth0 type bridge_slave isolated on\n")
	h1.ip(fmt.Sprintf("route add default via %s\n", lab.Host("h2").Addr()))
	d := h1.Doctor()
	f := d.Of("isolation")
	if f.Severity != "warning" || !strings.Contains(f.Text, "keeps its clients apart") || f.Mend == "" || d.Faults() != "" || d.Exit != 0 {
		t.Errorf("exit code %d: %+v", d.Exit, d.Findings)
	}
}

// doctorOffice is an office without gateway, the arguments with which the
// doctor looks at it, and somebody else on its LAN.
func doctorOffice(t *testing.T, server func(*ServerOptions)) (*Office, OfficeOptions, []string) {
	t.Helper()
	opt := OfficeOptions{Server: server}
	o := NewOffice(t, opt)
	o.Host("h2").Avahi()
	return o, opt, []string{"-config", o.Host("h1").WriteFile("doctor.yaml", o.Config(opt))}
}

func TestDoctorSaysThatAllIsWellOrWhatIsNot(t *testing.T) {
	t.Parallel()
	o, opt, args := doctorOffice(t, nil)
	h1 := o.Host("h1")
	d := h1.Doctor(args...)
	wantDiagnosis(t, d, "", "")
	for _, check := range []string{"interface", "multicast-route", "port", "mdns", "name-conflict", "server", "stream-management", "clock"} {
		if d.Of(check).Severity != "ok" {
			t.Errorf("%s: %+v", check, d.Of(check))
		}
	}
	if got := h1.Output(BuildGateway(t, false), append([]string{"doctor", "-wait", "1s"}, args...)...); !strings.HasSuffix(got, "\nAll is well.\n") {
		t.Errorf("in words:\n%s", got)
	}

	// Beside the running gateway, whose names are its own.
	o.StartGateway(opt)
	o.Gateway.AwaitLog("online")
	d = h1.Doctor(args...)
	wantDiagnosis(t, d, "", "")
	if f := d.Of("gateway"); !strings.Contains(f.Text, "online as gateway@example.org") {
		t.Errorf("of the gateway: %+v", f)
	}
	o.Gateway.Refute(`"msg":"offline`)
	o.Gateway.Stop()

	_, name := o.Host("h2").Publish("meshgate@gw", PresenceService, 5298, "txtvers=1")
	d = h1.Doctor(args...)
	wantDiagnosis(t, d, "name-conflict", "“"+name+"” is held by h2.local ("+o.Host("h2").Addr().String()+")")
	o.StartGateway(opt)
	o.Gateway.AwaitLog("contact published", "instance", "meshgate1@gw")
	wantDiagnosis(t, h1.Doctor(args...), "name-conflict", "meshgate@gw")
	o.Gateway.Stop()

	o.Server.Stop()
	d = h1.Doctor(args...)
	if d.Of("server").Severity != "fault" || !strings.Contains(d.Of("server").Text, "connection refused") || d.Faults() != "server name-conflict" && d.Faults() != "name-conflict server" {
		t.Errorf("without a server: %+v", d)
	}
}

func TestDoctorFindsAServerWithoutStreamManagement(t *testing.T) {
	t.Parallel()
	o, _, args := doctorOffice(t, func(s *ServerOptions) { s.NoSM = true })
	wantDiagnosis(t, o.Host("h1").Doctor(args...), "stream-management", "no stream management")
}

func TestDoctorFindsAWrongClock(t *testing.T) {
	t.Parallel()
	o, _, args := doctorOffice(t, func(s *ServerOptions) { s.Clock = 2 * time.Hour })
	wantDiagnosis(t, o.Host("h1").Doctor(args...), "clock", "clock is 2h0m0s behind")
}
