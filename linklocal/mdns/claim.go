package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A claimState is how far we are in owning a name; see the diagram in doc.go.
type claimState uint8

const (
	idle        claimState = iota // no link: nothing is sent
	probing                       // asking whether the name is taken
	established                   // ours: answered for and defended
)

func (s claimState) String() string {
	return [...]string{"idle", "probing", "established"}[s]
}

// A kind is one of the record sets that belong to a claim.
type kind uint8

const (
	kindPTR  kind = iota // service type -> instance
	kindSRV              //
	kindTXT              //
	kindNULL             //
	kindA                //
	kindAAAA             //
	kindNSEC             // what of the above there is not
	kindType             // the enumeration PTR of a service type; of no claim
	numKinds
)

// A schedule says when a record set is to be multicast.
type schedule struct {
	sent     time.Time     // last time it was
	respond  time.Time     // answer somebody at; zero: nobody waits
	announce time.Time     // announce at; zero: not
	left     int           // announcements still to make
	gap      time.Duration // between the next two
}

// A claim is one unique name of ours: the host's or a service's.
type claim struct {
	svc       *Service // nil: the host
	typ       *svcType // nil: the host
	preferred string
	label     string // raw
	renames   int    // alternatives tried
	name, key name

	state     claimState
	probes    int       // sent in this round
	rounds    int       // before this one, without an answer
	next      time.Time // next probe or end of the round; zero: held until the host's name is ours
	proposal  []record  // of this round, once it has begun
	retreat   bool      // it was ours, and somebody else claims it
	since     time.Time // when it became ours; a retreat does not count
	contests  int       // claims of others to it lately
	contest   time.Time // the last of them
	yielding  bool      // left to somebody else, until we probe again
	yieldedAt time.Time // when that began last
	probedAt  time.Time // last probe of somebody else for it, while it was ours

	text    string // TXT data
	null    string
	addrs   []netip.Addr // host, or service with addresses of its own
	textAt  time.Time    // last start of TXT announcements
	healing time.Time    // a changed text is said more often until then

	sched [numKinds]schedule
}

// A svcType is one service type that we publish instances of.
type svcType struct {
	name, key name
	claims    []*claim
	sched     schedule
}

// A ref names a record set of ours: of a claim, or the enumeration PTR of a type.
type ref struct {
	c *claim
	t *svcType
	k kind
}

func (r ref) sched() *schedule {
	if r.k == kindType {
		return &r.t.sched
	}
	return &r.c.sched[r.k]
}

// unique reports whether nobody else may have records in the same set.
func (r ref) unique() bool { return r.k != kindPTR && r.k != kindType }

func (c *claim) setLabel(raw string) {
	c.label = raw
	if c.svc == nil {
		c.name = hostName(raw)
	} else {
		c.name = instanceName(raw, c.typ.name)
	}
	c.key = c.name.fold()
}

// records builds the record set fresh from the current state.
func (e *Engine) records(r ref) []record {
	c := r.c
	switch r.k {
	case kindPTR:
		return []record{ptrRecord(c.typ.name, c.name)}
	case kindSRV:
		target := e.host.name
		if len(c.addrs) > 0 {
			target = c.name
		}
		return []record{srvRecord(c.name, c.svc.Port, target)}
	case kindTXT:
		return []record{txtRecord(c.name, c.text)}
	case kindNULL:
		if c.null != "" {
			return []record{nullRecord(c.name, c.null)}
		}
	case kindA, kindAAAA:
		return c.addrRecords(r.k)
	case kindNSEC:
		return []record{c.nsecRecord()}
	case kindType:
		return []record{ptrRecord(enumName, r.t.name)}
	}
	return nil
}

func (c *claim) addrRecords(k kind) (rr []record) {
	for _, a := range c.addrs {
		if a.Is4() == (k == kindA) {
			rr = append(rr, addrRecord(c.name, a))
		}
	}
	return rr
}

// kinds lists the record sets at the claim's own name that must be unique.
func (c *claim) kinds() []kind {
	switch {
	case c.svc == nil:
		return []kind{kindA, kindAAAA}
	case len(c.addrs) > 0:
		return []kind{kindSRV, kindTXT, kindA, kindAAAA}
	}
	return []kind{kindSRV, kindTXT}
}

// uniqueRecords are what we probe with.
func (e *Engine) uniqueRecords(c *claim) (rr []record) {
	for _, k := range c.kinds() {
		rr = append(rr, e.records(ref{c: c, k: k})...)
	}
	return rr
}

// owner is the claim of a name that we have, or nil.
func (e *Engine) owner(key name) *claim {
	if c := e.claims[key]; c != nil && c.state == established {
		return c
	}
	return nil
}

// enter takes a claim with a label that no other claim of ours has: the
// preferred one or the first free alternative.
func (e *Engine) enter(c *claim) {
	for label := c.label; ; label = c.alternative() {
		c.setLabel(label)
		if e.claims[c.key] == nil {
			e.claims[c.key] = c
			return
		}
	}
}

// alternative is the next label to try after a conflict.
//
// "append 1, 2 … until unique" is the caller's Rename; a result that does not
// fit into a label, or is no change, is replaced by our own form.
func (c *claim) alternative() string {
	c.renames++
	if c.svc != nil && c.svc.Rename != nil {
		s := c.svc.Rename(c.preferred, c.renames)
		if s != "" && len(s) <= maxLabel && s != c.preferred && s != c.label && c.renames < maxCustomRenames {
			return s
		}
	}
	return numbered(c.preferred, c.renames)
}

// maxCustomRenames ends the trust in a Rename that never hits a free name.
const maxCustomRenames = 1000

func (e *Engine) typeOf(n name) *svcType {
	key := n.fold()
	t := e.types[key]
	if t == nil {
		t = &svcType{name: n, key: key}
		e.types[key] = t
		e.typeOrder = append(e.typeOrder, t)
	}
	return t
}

// drop forgets a claim and its type if that was the last of it.
func (e *Engine) drop(c *claim) {
	e.becomeIdle(c)
	delete(e.claims, c.key)
	delete(e.byID, c.svc.ID)
	e.order = remove(e.order, c)
	c.typ.claims = remove(c.typ.claims, c)
	if len(c.typ.claims) == 0 {
		c.typ.sched = schedule{}
		delete(e.types, c.typ.key)
		e.typeOrder = remove(e.typeOrder, c.typ)
	}
}

func remove[T comparable](s []T, v T) []T {
	if i := slices.Index(s, v); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}

// hostLabel makes a usable label of what was configured.
func hostLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-':
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(cutBytes(s, maxLabel), "-")
	if s == "" {
		return "mdns"
	}
	return s
}
