package e2e

import (
	"fmt"
	"testing"
	"time"
)

// loss is how many of a hundred packets each of the lossy hosts misses. What
// is sent three times does not arrive in 27 of a thousand cases.
const loss = 30

// LL-10, LL-11: each change of status is announced three times, so that nearly
// all are seen, and the last in any case once there is another; the goodbye is
// sent three times, and the mirror leaves.
func TestStatusAndGoodbyeGetThroughALossyLAN(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{Hosts: 3})
	ear := p.Host("h3").Hear() // misses nothing
	p.Host("h1").Loss(loss)
	p.Host("h2").Loss(loss)
	const changes, mostMissed = 6, 3
	missed, shown := 0, false
	for i := 0; i < changes || !shown; i++ {
		words := fmt.Sprintf("change %d.", i)
		p.alice.Status("", words)
		_, err := p.bob.await(7*time.Second, words, func(text string) bool { return text == "STATUS\talice@gw\tavailable\t"+words })
		if shown = err == nil; shown {
			continue
		}
		if missed++; missed > mostMissed {
			t.Fatalf("bob has missed %d changes", missed)
		}
	}
	t.Logf("%d changes missed", missed)
	p.Gateway.Stop()
	ear.AwaitCount(3, "a goodbye", func(m Heard) bool { return m.SaysGoodbye(p.Mirror("alice")) })
	// If no goodbye has got through, the records run out.
	p.bob.ExpectWithin(3*time.Minute, `^REMOVED\talice@gw$`)
}

// LL-05: where packets are lost, several may take the same names at the same
// time without hearing of each other: two gateways and an avahi. In the end every name
// is one's alone, and nobody has lost any.
func TestNamesAreUniqueOnALossyLAN(t *testing.T) {
	t.Parallel()
	const second = "second"
	users := []string{"alice", "anna", "arno", "axel"}
	opt := OfficeOptions{Hosts: 4, Users: users, Config: map[string]any{"contacts": shown(users...)}}
	opt.Server = func(s *ServerOptions) { s.Users[second] = UserPassword }
	o := NewOffice(t, opt)
	o.Avahi()
	h1, h2, h3, observer := o.Host("h1"), o.Host("h2"), o.Host("h3"), o.Host("h4")
	for _, h := range []*Host{h1, h2, h3} {
		h.LossOfMDNS(loss) // the way to the server is not to blame
	}
	o.StartGateway(opt)
	opt.Config["account.jid"], opt.Config["account.password"] = o.Server.JID(second), UserPassword
	opt.Config["account.server"], opt.Config["state_dir"] = o.Server.Addr(), h2.GatewayStateDir()
	h2.Gateway(GatewayOptions{Config: o.Config(opt)})
	for i, user := range users {
		h3.Start("avahi-publish", "-s", o.Mirror(user), PresenceService, itoa(6000+i), "txtvers=1")
	}
	observer.AwaitResolved(3*Patience, "four names of each", func(all []Service) bool {
		names, at := map[string]bool{}, map[string]int{}
		for _, s := range all {
			names[s.Name] = true
			at[s.Addrs[0]]++
		}
		return len(names) == len(all) &&
			at[h1.Addr().String()] == len(users)+1 && at[h2.Addr().String()] == len(users)+1 && at[h3.Addr().String()] == len(users)
	})
}
