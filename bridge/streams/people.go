package streams

import (
	"strings"
	"sync"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// people is who is who, on both sides. Its methods may be called from any
// goroutine.
type people struct {
	policy   Policy
	contacts map[string]jid.JID // by bare address

	mu      sync.Mutex
	own     linklocal.Instance         // our name on the LAN
	mirrors map[string]dsps.JID        // names of contacts' mirrors, by bare address …
	behind  map[string]string          // … and the other way round, by Key
	devices map[string]map[string]int8 // priorities of full addresses, by bare address
}

func newPeople(cfg Config) *people {
	p := &people{
		policy: cfg.Policy, contacts: map[string]jid.JID{}, mirrors: map[string]dsps.JID{}, behind: map[string]string{},
		devices: map[string]map[string]int8{},
	}
	for _, c := range cfg.Contacts {
		bare := c.JID.Bare().String()
		p.contacts[bare] = c.JID.Bare()
		p.mirror(bare, c.Mirror)
	}
	return p
}

func (p *people) mirror(bare string, name linklocal.Instance) {
	delete(p.behind, linklocal.Instance(p.mirrors[bare]).Key())
	p.mirrors[bare], p.behind[name.Key()] = dsps.JID(name), bare
}

// published takes the name that one of ours has on the LAN.
func (p *people) published(ev linklocal.ContactPublished, concierge linklocal.ContactID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ev.ID == concierge {
		p.own = ev.Instance
	} else if _, ok := p.contacts[string(ev.ID)]; ok {
		p.mirror(string(ev.ID), ev.Instance)
	}
}

// heard takes what is known of the network.
func (p *people) heard(ev xmppc2s.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case xmppc2s.Online:
		if !ev.Resumed {
			clear(p.devices)
		}
	case xmppc2s.ContactPresence:
		p.presence(ev)
	}
}

// presence notes a client of a contact's; how many there may be the session says.
func (p *people) presence(ev xmppc2s.ContactPresence) {
	bare := ev.JID.Bare().String()
	if _, ok := p.contacts[bare]; !ok {
		return
	}
	if !ev.Available {
		delete(p.devices[bare], ev.JID.String())
		return
	}
	if p.devices[bare] == nil {
		p.devices[bare] = map[string]int8{}
	}
	p.devices[bare][ev.JID.String()] = ev.Priority
}

// device is the client of a contact that an iq goes to: the one that wants to be
// asked most. An iq to the bare address would be answered by the contact's server
// (RFC 6121 §8.5.2.1.3). "" is none.
func (p *people) device(contact jid.JID) (best string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var most int8
	for name, priority := range p.devices[contact.Bare().String()] {
		if best == "" || priority > most || priority == most && name < best {
			best, most = name, priority
		}
	}
	return best
}

// name is ours on the LAN; "" until we are there.
func (p *people) name() dsps.JID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return dsps.JID(p.own)
}

// contact is the contact whose address, with any resource, addr is.
func (p *people) contact(addr dsps.JID) (jid.JID, bool) {
	j, err := jid.Parse(string(addr))
	if err != nil {
		return jid.JID{}, false
	}
	_, ok := p.contacts[j.Bare().String()]
	return j, ok
}

// A presence name may have any character. In an address a slash would begin a
// resource: there it is as XEP-0106 has it.
var (
	escaper   = strings.NewReplacer(`\`, `\5c`, "/", `\2f`)
	unescaper = strings.NewReplacer(`\5c`, `\`, `\2f`, "/")
)

// addressOf is that of a peer, and nameOf what it is called.
func addressOf(name linklocal.Instance) dsps.JID { return dsps.JID(escaper.Replace(string(name))) }

func nameOf(peer dsps.JID) linklocal.Instance {
	return linklocal.Instance(unescaper.Replace(string(peer)))
}

// peer is the name of the peer with that address, if it may use the gateway.
func (p *people) peer(addr dsps.JID) (linklocal.Instance, bool) {
	name := nameOf(addr)
	_, resource := linklocal.SplitAddress(string(name))
	if resource != "" || addressOf(name) != addr || strings.ToLower(string(name)) != name.Key() {
		return "", false
	}
	if _, taken := p.contact(dsps.JID(name)); taken {
		return "", false
	}
	return name, p.policy.Admits(name)
}

// saidBy is whose address it is that somebody says on a connection: peers say
// their names.
func (p *people) saidBy(addr dsps.JID) dsps.JID {
	if _, ok := p.contact(addr); ok {
		return addr
	}
	return addressOf(linklocal.Instance(addr))
}

// known reports whether somebody may use the gateway.
func (p *people) known(addr dsps.JID) bool {
	if _, ok := p.contact(addr); ok {
		return true
	}
	_, ok := p.peer(addr)
	return ok
}

// connected reports whether two may have to do with each other.
func (p *people) connected(a, b dsps.JID) bool {
	one, isContact := p.contact(a)
	other, alsoContact := p.contact(b)
	switch {
	case isContact && alsoContact:
		return true
	case isContact:
		peer, ok := p.peer(b)
		return ok && p.policy.Connects(peer, one)
	case alsoContact:
		peer, ok := p.peer(a)
		return ok && p.policy.Connects(peer, other)
	}
	return p.known(a) && p.known(b)
}

// toLAN is how peers say an address: contacts by the names of their mirrors.
func (p *people) toLAN(addr dsps.JID) dsps.JID {
	j, ok := p.contact(addr)
	if !ok {
		return dsps.JID(nameOf(addr))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return withResource(p.mirrors[j.Bare().String()], j.Resourcepart())
}

// fromLAN is whom a peer means by that.
func (p *people) fromLAN(addr dsps.JID) dsps.JID {
	name, resource := linklocal.SplitAddress(string(addr))
	p.mu.Lock()
	bare, ok := p.behind[name.Key()]
	p.mu.Unlock()
	if ok {
		return withResource(dsps.JID(bare), resource)
	}
	if _, ok := p.contact(addr); ok {
		return addr
	}
	return withResource(addressOf(name), resource) // a peer has none, and is not known by one
}

func withResource(bare dsps.JID, resource string) dsps.JID {
	if resource == "" {
		return bare
	}
	return bare + "/" + dsps.JID(resource)
}
