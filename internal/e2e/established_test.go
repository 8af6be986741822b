package e2e

import "testing"

// LL-05: libpurple holds the very name that a mirror wants, and never renames
// itself. It keeps the name, and the mirror takes another one, by either scheme.
func TestLibpurpleKeepsItsName(t *testing.T) {
	t.Parallel()
	for scheme, mirror := range map[string]string{"digit": "alice1@h2", "hyphen": "alice-1@h2"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			opt := OfficeOptions{Hosts: 3, Config: map[string]any{"lan.machine": "h2", "lan.rename": scheme}}
			o := NewOffice(t, opt)
			o.Avahi()
			holder := o.Host("h2").Purple("alice", PurpleOptions{})
			carol := o.Host("h3").Purple("carol", PurpleOptions{})
			carol.AwaitOn("alice@h2")
			holder.AwaitOn("carol@h3")
			o.StartGateway(opt)
			alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
			carol.AwaitOn(mirror)
			o.wantBoth(mirror, alice, holder, carol)
		})
	}
}

// wantBoth fails the test unless Carol on h3 reaches two Alices: the libpurple
// user alice@h2, and the remote one behind the mirror.
func (o *Office) wantBoth(mirror string, alice *Remote, holder, carol *Purple) {
	o.tb.Helper()
	carol.Msg("alice@h2", "to the one on the LAN")
	holder.AwaitIM("carol@h3", "to the one on the LAN")
	holder.Msg("carol@h3", "from the one on the LAN")
	carol.AwaitIM("alice@h2", "from the one on the LAN")
	carol.Msg(mirror, "to the one on the network")
	alice.AwaitMessage(o.GatewayJID(), "to the one on the network")
	alice.Msg(o.GatewayJID(), "from the one on the network")
	carol.AwaitIM(mirror, "from the one on the network")
	carol.Refute(`^REMOVED\talice@h2`)
	o.Host("h3").AwaitAddr("alice@h2", o.Host("h2").Addr())
	o.Host("h3").AwaitAddr(mirror, o.Host("h1").Addr())
}

// LL-05: while the gateway's interface is down, libpurple takes the name of a
// mirror. When it is up again the mirror gives way, though it was there before.
func TestLibpurpleKeepsTheNameItTookMeanwhile(t *testing.T) {
	t.Parallel()
	o, alice := openNamesake(t)
	o.Host("h1").Link(false)
	o.Gateway.AwaitLog("no usable interface")
	holder := o.takeName()
	o.Host("h1").Link(true)
	o.wantTaken(alice, holder)
}

// openNamesake opens an office with the mirror alice@h2.
func openNamesake(t *testing.T) (*Office, *Remote) {
	t.Helper()
	o := OpenOffice(t, OfficeOptions{Hosts: 3, Gateway: GatewayOptions{Verbose: true}, Config: map[string]any{"lan.machine": "h2"}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
	o.Gateway.AwaitLog("contact published", "instance", "alice@h2")
	return o, alice
}

// takeName starts a libpurple user alice@h2.
func (o *Office) takeName() *Purple {
	o.tb.Helper()
	observer := o.Host("h3").Observe(PresenceService)
	holder := o.Host("h2").Purple("alice", PurpleOptions{})
	observer.Await("libpurple's alice", func(s Service) bool { return s.Name == "alice@h2" && s.Port == 5298 })
	return holder
}

// wantTaken waits until the mirror has another name.
func (o *Office) wantTaken(alice *Remote, holder *Purple) {
	o.tb.Helper()
	o.Host("h3").Browse(PresenceService).AwaitResolved("alice1@h2")
	carol := o.Host("h3").Purple("carol", PurpleOptions{})
	carol.AwaitOn("alice@h2")
	carol.AwaitOn("alice1@h2")
	holder.AwaitOn("carol@h3")
	o.wantBoth("alice1@h2", alice, holder, carol)
}

// LL-05: a cable between two switches is out, so that nobody's interface shows
// it, and libpurple takes the name of a mirror. When the two parts become one
// again both have had it for long; the mirror gives way, whoever speaks first.
func TestLibpurpleKeepsItsNameWhenNetworksBecomeOne(t *testing.T) {
	t.Parallel()
	o, alice := openNamesake(t)
	o.Host("h1").Isolate(true)
	holder := o.takeName()
	o.Host("h1").Isolate(false)
	o.Host("h3").RestartAvahi() // somebody asks who is there
	o.wantTaken(alice, holder)
}
