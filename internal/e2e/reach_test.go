package e2e

import (
	"syscall"
	"testing"
	"time"
)

// A pair is a person on the LAN and one on the network who have each other.
type pair struct {
	*Office
	alice *Remote // whose connection does not hang on the LAN
	bob   *Purple // on h2
	said  int
}

// openPair opens an office in which Alice and Bob see each other.
func openPair(t *testing.T, opt OfficeOptions) *pair {
	t.Helper()
	opt.Gateway.Verbose = true
	p := OpenOffice(t, opt).pair()
	p.talk()
	return p
}

// pair has Alice and Bob come to an office, and see each other.
func (o *Office) pair() *pair {
	o.tb.Helper()
	p := &pair{Office: o}
	p.alice = o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
	p.bob = o.Host("h2").Purple("bob", PurpleOptions{})
	p.bob.AwaitOn(o.Mirror("alice"))
	return p
}

// talk has each write to the other, on a new stream each.
func (p *pair) talk() {
	p.tb.Helper()
	p.said++
	up, down := "up "+itoa(p.said)+".", "down "+itoa(p.said)+"."
	p.bob.CloseChat(p.Mirror("alice"))
	p.bob.Msg(p.Mirror("alice"), up)
	p.alice.AwaitMessage(p.GatewayJID(), up)
	p.bob.CloseChat(p.Mirror("alice"))
	p.alice.Msg(p.GatewayJID(), down)
	p.bob.AwaitIM(p.Mirror("alice"), down)
}

// changeStatus has Alice say something new, and Bob read it.
func (p *pair) changeStatus() {
	p.tb.Helper()
	p.said++
	words := "busy with " + itoa(p.said) + "."
	p.alice.Status("dnd", words)
	p.bob.AwaitStatus(p.Mirror("alice"), "away", words)
}

// wantSteady fails the test if Bob has seen the mirror leave, or another in its
// place.
func (p *pair) wantSteady() {
	p.tb.Helper()
	p.bob.Refute(`^REMOVED\t(alice|meshgate)@gw`)
	p.bob.Refute(`^ON\t(alice|meshgate)-?1@gw`)
}

// LL-01, LL-08: the gateway's machine gets another address. Whoever resolves
// the mirror has that address alone, and those who had the old one reach it.
func TestAMirrorFollowsTheAddressOfItsMachine(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{})
	h1 := p.Host("h1")
	p.bob.Forget()
	h1.SetAddr(h1.Neighbour(1))
	p.Host("h2").AwaitAddr(p.Mirror("alice"), h1.Addr())
	p.bob.Expect(`^STATUS\talice@gw\t`) // libpurple looks again once the old address has run out
	p.talk()
	p.wantSteady()
}

// RFC 6762 §8, LL-18: the gateway's cable is pulled and put back, then its interface
// goes and comes back, then a cable between switches, which no machine
// notices; then the peer's interface. Each time they find each other again
// under the same names.
func TestTheyFindEachOtherAfterAReplug(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{})
	h1, h2 := p.Host("h1"), p.Host("h2")
	for name, plug := range map[string]func(in bool){"cable": h1.Cable, "interface": h1.Link} {
		t.Log(name)
		plug(false)
		p.Gateway.AwaitLog("link down")
		ear := h2.Hear()
		plug(true)
		ear.AwaitCount(1, "a probe for the mirror", func(m Heard) bool { return m.Probes(p.Mirror("alice")) })
		ear.AwaitCount(1, "an announcement of the mirror", func(m Heard) bool { return m.Announces(p.Mirror("alice"), "") })
		p.talk()
	}
	h1.Isolate(true)
	h1.Isolate(false)
	p.talk()
	p.wantSteady()

	h2.Link(false)
	p.bob.AwaitRemoved(p.Mirror("alice"))
	h2.Link(true)
	p.bob.AwaitOn(p.Mirror("alice"))
	p.talk()
}

// The gateway's machine runs an avahi of its own on the same port, with users of its
// own. It comes and goes, and the mirrors stay; they go, and it stays.
func TestAvahiOnTheSameMachineIsNoTrouble(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{})
	p.Host("h1").RestartAvahi()
	p.talk()
	carol := p.Host("h1").Purple("carol", PurpleOptions{})
	carol.AwaitOn(p.Mirror("alice"))
	p.bob.AwaitOn("carol@h1")
	carol.Msg(p.Mirror("alice"), "from the same machine")
	p.alice.AwaitMessage(p.GatewayJID(), "from the same machine")
	p.alice.Msg(p.GatewayJID(), "@carol to the same machine")
	carol.AwaitIM(p.Mirror("alice"), "to the same machine")
	p.wantSteady()
	p.Gateway.Stop()
	carol.AwaitRemoved(p.Mirror("alice"))
	p.bob.AwaitRemoved(p.Mirror("alice"))
	p.bob.Msg("carol@h1", "are you still there?")
	carol.AwaitIM("bob@h2", "are you still there?")
}

// LL-11: the avahi of a peer's machine starts anew. It finds the mirror at
// once. libpurple does not notice any of it: the person has to log in again.
func TestAvahiOfAPeerRestarts(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{})
	p.alice.AwaitStatus(p.GatewayJID(), "", "LAN: bob@h2")
	p.alice.Forget()
	h2 := p.Host("h2")
	h2.RestartAvahi()
	h2.Browse(PresenceService).AwaitResolved(p.Mirror("alice"))
	p.alice.AwaitStatus(p.GatewayJID(), "", "LAN: nobody") // avahi says goodbye for its users
	p.bob.Quit()
	p.bob = h2.Purple("bob", PurpleOptions{})
	p.bob.AwaitOn(p.Mirror("alice"))
	p.alice.AwaitStatus(p.GatewayJID(), "", "LAN: bob@h2")
	p.talk()
}

// The gateway's machine sleeps for a while: everything stands still, and goes on
// as if nothing had been.
func TestTheyFindEachOtherAfterAPause(t *testing.T) {
	t.Parallel()
	p := openPair(t, OfficeOptions{})
	p.Gateway.Signal(syscall.SIGSTOP)
	p.bob.Msg(p.Mirror("alice"), "into the night")
	time.Sleep(5 * time.Second) // the pause itself
	p.Gateway.Signal(syscall.SIGCONT)
	p.alice.AwaitMessage(p.GatewayJID(), "into the night")
	p.talk()
	p.wantSteady()
}
