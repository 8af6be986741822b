package e2e

import "testing"

// LL-05, LL-18: a machine on both LANs repeats on each what it hears on the
// other, as avahi can. A gateway on both hears itself; that is no conflict.
func TestAReflectorIsNoConflict(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{FarHosts: 1, Config: both}
	o := NewOffice(t, opt)
	o.Host("h2").AddNIC(2)
	o.Host("h2").Reflect()
	o.Avahi()
	o.StartGateway(opt)
	o.wantQuiet()
}

// Two such machines make a loop: a gateway on one LAN alone hears itself too.
func TestALoopOfReflectorsIsNoConflict(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{Hosts: 3}
	o := NewOffice(t, opt)
	for _, name := range []string{"h2", "h3"} {
		o.Host(name).AddNIC(2)
		o.Host(name).Reflect()
	}
	o.Avahi()
	o.StartGateway(opt)
	o.wantQuiet()
}

// wantQuiet fails the test unless Alice comes, changes and goes on the LAN
// under her own name.
func (o *Office) wantQuiet() {
	o.tb.Helper()
	p := o.pair()
	for range 3 {
		p.changeStatus()
	}
	p.wantSteady()
	p.alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")
	o.Gateway.Refute(`name taken`)
	p.alice.Quit()
	p.bob.AwaitRemoved(o.Mirror("alice"))
}
