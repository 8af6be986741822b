package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// python is Debian's own: the modules that the lab needs belong to it, not to
// another python3 that may come first in PATH.
const python = "/usr/bin/python3"

//go:embed avahi.conf
var avahiConf string

//go:embed dbus.conf
var dbusConf string

//go:embed observe.py
var observePy string

// Avahi starts a private message bus and avahi-daemon on every host at once
// and waits until each has its host name.
func (l *Lab) Avahi() {
	l.tb.Helper()
	startAvahi(l.hosts...)
}

// Avahi starts a private message bus and avahi-daemon on the host and returns
// the daemon. Stop says goodbye, Kill does not.
func (h *Host) Avahi() *Proc {
	h.tb.Helper()
	return startAvahi(h)[0]
}

func startAvahi(hosts ...*Host) []*Proc {
	var buses, daemons []*Proc
	for _, h := range hosts {
		conf := h.WriteFile("dbus.conf", dbusConf)
		buses = append(buses, h.Start("dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--print-address"))
	}
	for i, h := range hosts {
		buses[i].Expect(`^unix:`)
		daemons = append(daemons, h.startAvahiDaemon())
	}
	for _, p := range daemons {
		p.Expect(`Server startup complete`)
	}
	return daemons
}

func (h *Host) startAvahiDaemon() *Proc {
	h.tb.Helper()
	conf := h.WriteFile("avahi.conf", strings.NewReplacer(
		"@IPV4@", yesNo(!h.lab.opt.IPv6Only),
		"@IPV6@", yesNo(h.lab.opt.IPv6 || h.lab.opt.IPv6Only),
		"@REFLECTOR@", yesNo(h.reflects),
	).Replace(avahiConf))
	h.avahi = h.Start("avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", conf)
	return h.avahi
}

// RestartAvahi stops the host's avahi-daemon in order and starts it again on
// the same bus. What its clients had published is gone.
func (h *Host) RestartAvahi() {
	h.tb.Helper()
	h.avahi.Stop()
	h.startAvahiDaemon().Expect(`Server startup complete`)
}

// Reflect makes the avahi-daemon that is started next repeat on each of the
// host's interfaces what it hears on the others.
func (h *Host) Reflect() { h.reflects = true }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Publish has avahi publish a service with a TXT record until the returned
// process is stopped, and returns the name it got.
func (h *Host) Publish(instance, service string, port int, txt ...string) (*Proc, string) {
	h.tb.Helper()
	p := h.Start("avahi-publish", append([]string{"-s", instance, service, strconv.Itoa(port)}, txt...)...)
	return p, p.Expect(`^Established under name '(.*)'$`)[1]
}

// A Service is what an mDNS observer saw of one service instance.
type Service struct {
	Event  string            `json:"event"` // add, update or remove
	Name   string            `json:"name"`  // the instance, raw UTF-8
	Host   string            `json:"host"`  // SRV target without the final dot
	Addrs  []string          `json:"addrs"`
	Port   int               `json:"port"`
	TXT    map[string]string `json:"txt"`
	HasTXT bool              `json:"has_txt"`
}

// An Observer is python-zeroconf, which watches one service type: a third
// implementation of mDNS beside avahi and ours, and one that sees updates.
type Observer struct{ *Proc }

// Observe starts an observer of a service type ("_presence._tcp") on the host,
// on IPv4, or on IPv6 where there is no other. It needs no avahi there.
func (h *Host) Observe(service string) *Observer {
	h.tb.Helper()
	on := h.addr.String()
	if h.lab.opt.IPv6Only {
		on = "eth0" // by name: link-local addresses are its own
	}
	o := &Observer{h.Start(python, h.WriteFile("observe.py", observePy), service+".local.", on)}
	o.Expect(`^ready$`)
	return o
}

// Await waits for the first event that fits and was not had.
func (o *Observer) Await(what string, fits func(Service) bool) Service {
	o.tb.Helper()
	var got Service
	_, err := o.await(Patience, what, func(text string) bool {
		got = Service{}
		return json.Unmarshal([]byte(text), &got) == nil && fits(got)
	})
	if err != nil {
		o.tb.Fatalf("e2e: %v", err)
	}
	return got
}

// AwaitEvent waits for add, update or remove of an instance.
func (o *Observer) AwaitEvent(event, instance string) Service {
	o.tb.Helper()
	return o.Await(event+" of "+instance, func(s Service) bool { return s.Event == event && s.Name == instance })
}

// A Browser is avahi-browse. It sees services come and go, but shows the TXT
// record of each only once; [Host.Observe] sees updates.
type Browser struct{ *Proc }

// Browse starts avahi-browse with resolving, on a host with avahi.
func (h *Host) Browse(service string) *Browser {
	h.tb.Helper()
	return &Browser{h.Start("avahi-browse", "-rpk", service)}
}

// AwaitResolved waits until avahi has resolved an instance.
func (b *Browser) AwaitResolved(instance string) Service {
	b.tb.Helper()
	var got Service
	_, err := b.await(Patience, "resolved "+instance, func(text string) bool {
		s, ok := parseBrowse(text)
		got = s
		return ok && s.Event == "add" && s.Port != 0 && s.Name == instance
	})
	if err != nil {
		b.tb.Fatalf("e2e: %v", err)
	}
	return got
}

// AwaitAllResolved waits until avahi has resolved all of the instances; it looks
// at each line once, so that many take no longer than avahi does.
func (b *Browser) AwaitAllResolved(instances []string) {
	b.tb.Helper()
	missing := make(map[string]bool, len(instances))
	for _, i := range instances {
		missing[i] = true
	}
	_, err := b.await(Patience, fmt.Sprintf("%d resolved", len(instances)), func(text string) bool {
		if s, ok := parseBrowse(text); ok && s.Event == "add" && s.Port != 0 {
			delete(missing, s.Name)
		}
		return len(missing) == 0
	})
	if err != nil {
		b.tb.Fatalf("e2e: %v; missing %q", err, slices.Sorted(maps.Keys(missing)))
	}
}

// AwaitRemoved waits until avahi has dropped an instance.
func (b *Browser) AwaitRemoved(instance string) {
	b.tb.Helper()
	_, err := b.await(Patience, "removed "+instance, func(text string) bool {
		s, ok := parseBrowse(text)
		return ok && s.Event == "remove" && s.Name == instance
	})
	if err != nil {
		b.tb.Fatalf("e2e: %v", err)
	}
}

// AwaitAddr asks avahi on the host again and again, until it resolves an
// instance of [PresenceService] to that address and no other.
func (h *Host) AwaitAddr(instance string, addr netip.Addr) {
	h.tb.Helper()
	h.AwaitResolved(Patience, fmt.Sprintf("%s at %v alone", instance, addr), func(all []Service) bool {
		all = slices.DeleteFunc(all, func(s Service) bool { return s.Name != instance })
		return len(all) == 1 && all[0].Addrs[0] == addr.String()
	})
}

// AwaitResolved asks avahi on the host again and again for all that it can
// resolve of [PresenceService], until that fits or so much time is over.
func (h *Host) AwaitResolved(d time.Duration, what string, fits func([]Service) bool) {
	h.tb.Helper()
	for limit := time.Now().Add(d); ; {
		var seen []Service
		for _, text := range strings.Split(h.Output("avahi-browse", "-rptk", PresenceService), "\n") {
			if s, ok := parseBrowse(text); ok && s.Port != 0 {
				seen = append(seen, s)
			}
		}
		if fits(slices.Clone(seen)) {
			return
		}
		if time.Now().After(limit) {
			h.tb.Fatalf("e2e: %s: not %s within %v, but %+v", h.Name, what, d, seen)
		}
	}
}

// parseBrowse reads a line of avahi-browse -rp: "+" and "-" with interface,
// protocol, name, type and domain; "=" with host, address, port and the
// strings of the TXT record besides. Names are escaped as in DNS.
func parseBrowse(text string) (Service, bool) {
	f := strings.SplitN(text, ";", 10)
	if len(f) < 6 {
		return Service{}, false
	}
	s := Service{Name: unescapeDecimal(f[3])}
	switch {
	case f[0] == "+":
		s.Event = "add"
	case f[0] == "-":
		s.Event = "remove"
	case f[0] == "=" && len(f) == 10:
		s.Event = "add"
		s.Host, s.Addrs = f[6], []string{f[7]}
		s.Port, _ = strconv.Atoi(f[8]) // 0 does not fit
		s.TXT = parseTXTStrings(f[9])
		s.HasTXT = len(s.TXT) > 0
	default:
		return Service{}, false
	}
	return s, true
}

// parseTXTStrings reads `"a=b" "c=d"`.
func parseTXTStrings(text string) map[string]string {
	txt := make(map[string]string)
	for _, s := range strings.Split(strings.Trim(text, `"`), `" "`) {
		if key, value, ok := strings.Cut(s, "="); ok {
			txt[key] = value
		}
	}
	return txt
}

// unescapeDecimal undoes \DDD and \X.
func unescapeDecimal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

// PresenceService is the service type of XEP-0174.
const PresenceService = "_presence._tcp"

// InstanceOf is the presence name that a client gives a user on the host.
func (h *Host) InstanceOf(user string) string { return fmt.Sprintf("%s@%s", user, h.Name) }
