package e2e

import "testing"

// both is the configuration of a gateway on two interfaces.
var both = map[string]any{"lan.interfaces": []any{"eth0", "eth1"}}

// LL-07, LL-18: an interface comes later, on another LAN, goes, and comes back.
// Who is there sees the mirrors and is seen for as long, and nobody else
// notices; nothing is restarted.
func TestAnInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{FarHosts: 1, Config: both}
	o := NewOffice(t, opt)
	h1 := o.Host("h1")
	h1.RemoveNIC("eth1")
	o.Avahi()
	o.StartGateway(opt)
	alice := h1.Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	carol := o.Host("h3").Purple("carol", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	for range 2 {
		carol.Refute(`^ON\talice@gw`)
		h1.AddNIC(2)
		carol.AwaitOn(o.Mirror("alice"))
		alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2, carol@h3")
		carol.Msg(o.Mirror("alice"), "from the other LAN")
		alice.AwaitMessage(o.GatewayJID(), "from the other LAN")
		alice.Msg(o.GatewayJID(), "@carol to the other LAN")
		carol.AwaitIM(o.Mirror("alice"), "to the other LAN")

		alice.Forget()
		h1.RemoveNIC("eth1")
		alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")
		bob.Msg(o.Mirror("alice"), "still here")
		alice.AwaitMessage(o.GatewayJID(), "still here")
		carol = o.Host("h3").relogin(carol)
	}
	bob.Refute(`^REMOVED\t(alice|meshgate)@gw`)
	bob.Refute(`^ON\t(alice|meshgate)-?1@gw`)
}

// relogin has a person leave and come back, with an empty list: what left
// without a goodbye stays on the old one until its records run out.
func (h *Host) relogin(p *Purple) *Purple {
	h.tb.Helper()
	p.Quit()
	h.RestartAvahi()
	return h.Purple(p.User, PurpleOptions{})
}

// LL-01, LL-07, LL-18: both interfaces of the gateway's machine are on the same
// LAN, as cable and Wi-Fi are, so that each hears the other. That is no
// conflict, everybody is there once, and the gateway has one address, which it
// also calls from: libpurple refuses calls from another.
func TestTwoInterfacesOnOneLAN(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{Config: both}
	o := NewOffice(t, opt)
	h1, h2 := o.Host("h1"), o.Host("h2")
	second := h1.AddNIC(1)
	o.Avahi()
	o.StartGateway(opt)
	p := o.pair()
	p.alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")
	h2.AwaitAddr(o.Mirror("alice"), h1.Addr())
	p.changeStatus()
	p.talk()

	p.bob.Forget()
	h1.Link(false)
	h2.AwaitAddr(o.Mirror("alice"), second)
	p.bob.Expect(`^STATUS\talice@gw\t`) // libpurple looks again once the old address has run out
	p.talk()

	h1.Link(true)
	o.Gateway.AwaitLog("link up", "interface", "eth0") // the first time
	o.Gateway.AwaitLog("link up", "interface", "eth0")
	p.changeStatus()
	p.talk()
	p.wantSteady()
	o.Gateway.Refute(`name taken`)
}
