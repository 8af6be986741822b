package e2e

import "testing"

// LL-01, LL-07, LL-08, LL-18: one link has IPv4 and IPv6, the other IPv6 alone.
// The gateway is on both: each sees the mirrors at addresses of its own link,
// both are in the roster once, and each is called on the link where it is.
func TestALinkWithIPv6AloneBesideOneWithBoth(t *testing.T) {
	t.Parallel()
	opt := OfficeOptions{FarHosts: 1, IPv6: true, Config: both}
	o := NewOffice(t, opt)
	h1, h3 := o.Host("h1"), o.Host("h3")
	h1.without4("eth1")
	h3.without4("eth0")
	o.Avahi()
	o.StartGateway(opt)
	alice := h1.Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	carol := h3.Purple("carol", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	carol.AwaitOn(o.Mirror("alice"))
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2, carol@h3")
	for _, p := range []*Purple{bob, carol} {
		p.Msg(o.Mirror("alice"), p.User+" asks")
		alice.AwaitMessage(o.GatewayJID(), p.User+" asks")
		p.CloseChat(o.Mirror("alice"))
		alice.Msg(o.GatewayJID(), "@"+p.User+" hear the answer")
		p.AwaitIM(o.Mirror("alice"), "hear the answer")
		p.Refute(`^(ON|REMOVED)\t(alice|meshgate)-?1@gw`)
	}
	o.Gateway.Refute(`name taken`)
}

// without4 takes the IPv4 addresses of an interface away; the host still
// reaches its own.
func (h *Host) without4(nic string) {
	h.tb.Helper()
	h.Output("ip", "-4", "addr", "flush", "dev", nic)
	if nic == "eth0" {
		h.ip("addr add " + h.addr.String() + "/32 dev lo\n")
	}
}
