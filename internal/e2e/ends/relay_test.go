package ends

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/rawstream"
)

// The other gateway of a pair: its account, its name and its port.
const (
	otherUser    = "gateway2"
	otherMachine = "gw2"
)

// pairOfGateways is an office whose gateway has LAN 1, and a gateway on h3 that
// has LAN 2, where h4 is: they have the server in common, and alice. The other
// gateway reaches the streams of the first through the proxy.
func pairOfGateways(t *testing.T) (*hall, *e2e.Proxy) {
	t.Helper()
	users := []string{"alice", otherUser}
	first := map[string]any{"streams.enabled": true, "contacts": nil}
	maps.Copy(first, e2e.NoLimits())
	opt := e2e.OfficeOptions{Users: users, FarHosts: 2, Config: first}
	o := e2e.NewOffice(t, opt)
	o.Avahi()
	h1, h3 := o.Host("h1"), o.Host("h3")
	h3.Output("ip", "route", "add", h1.Addr().String(), "dev", "eth0")
	h3.AddName(e2e.Domain, h1.Addr())
	contact := []any{map[string]any{"jid": o.Server.JID("alice"), "name": "alice"}}
	first["streams.host"], first["contacts"] = h1.Addr().String(), contact
	o.StartGateway(opt)
	proxy := h1.Proxy(fmt.Sprint(h1.Addr(), ":", streamPort))

	second := map[string]any{
		"account.jid": o.Server.JID(otherUser), "account.password": e2e.UserPassword, "account.server": o.Server.Addr(),
		"state_dir": h3.GatewayStateDir(), "lan.machine": otherMachine, "contacts": contact, "streams.enabled": true,
		"streams.host": h3.Addr().String(), "streams.relays": []any{fmt.Sprint(e2e.Domain, ":", proxy.Port())},
	}
	maps.Copy(second, e2e.NoLimits())
	opt.Config = second
	h3.Gateway(e2e.GatewayOptions{Config: o.Config(opt), Ready: `"msg":"ready"`}).AwaitLog("online")
	return hallOf(t, o), proxy
}

// DS-14, DS-19: a stream that passes two gateways. bob, on the first LAN, gives it
// to alice, and she has the other gateway connect to it: who listens on either
// side, on both LANs and on the network, has all that bob sends, also after the
// gateways have lost each other, and bob what is said on the other side. "Relay
// stream will be treated using "slave" rights": it is the masters there who hear it.
func TestAStreamOverTwoGateways(t *testing.T) {
	t.Parallel()
	h, proxy := pairOfGateways(t)
	h1 := h.Host("h1")
	p := h.begin(h.peer("bob@h2", h.Mirror("meshgate"), h.Host("h2")), "")
	eva := h.peer("eva@h2", h.Mirror("meshgate"), h.Host("h2"))
	alice, near := h.contact("alice", h1, nil), h.contact("alice", h1, nil)
	all := map[*rawstream.Person]*intake{eva: take(p.invite(eva, "slave", rawstream.Plain)), near: take(p.invite(near, "slave", methods[3]))}
	toFirst := p.master.Invite(p.at, alice, h.called(p.master, alice), "slave", "")

	far := &party{hall: h, master: alice, places: map[*rawstream.Person]string{}}
	far.at = alice.Relay(h.Server.JID(otherUser)+"/meshgate", toFirst, fmt.Sprintf("port='%d'", proxy.Port()))
	p.master.Presence(h.called(p.master, alice), "connect")
	far.line = alice.Connect(far.at, rawstream.Plain, "")
	alice.Presence(alice.JID, "connect")
	all[alice] = take(far.line)
	dora, beyond, slave := h.peer("dora@h4", "meshgate@"+otherMachine, h.Host("h4")), h.contact("alice", h1, nil), h.contact("alice", h1, nil)
	all[dora], all[beyond] = take(far.invite(dora, "master", rawstream.Plain)), take(far.invite(beyond, "master", methods[1]))
	fromAlice := far.invite(slave, "slave", rawstream.Plain)

	data, reply := random(40, 6<<20), "from the other side"
	third := len(data) / 3
	put(t, p.line, data[:third])
	for _, in := range all {
		awaitBytes(t, in, third)
	}
	proxy.Cut(e2e.RST)
	relay := h.GatewayJID() // resources of relays are not shown
	alice.Presence(relay, "waiting")
	p.master.Presence(h.called(p.master, alice), "waiting")
	alice.Again(far.at, toFirst)
	p.master.Presence(h.called(p.master, alice), "connect")
	put(t, far.line, []byte(reply))
	p.line.WantData("3", reply)
	fromAlice.WantData("0", reply)
	put(t, p.line, data[third:])
	p.leave()
	for _, who := range []*rawstream.Person{eva, near} {
		all[who].want(t, who.JID, data)
		who.Dropped()
		delete(all, who)
	}
	alice.Presence(relay, "waiting")
	all[alice].has(t, alice.JID, data)
	delete(all, alice)
	for who, in := range all {
		in.has(t, who.JID, slices.Concat(data[:third], []byte(reply), data[third:]))
	}
}
