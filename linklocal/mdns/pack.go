package mdns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	packetSize    = 1440  // one Ethernet frame with room for IPv6
	maxPacketSize = 65000 // a single large record, in fragments
)

// pack encodes the message. ok is false if it cannot be sent in one datagram.
// In answers to one-shot resolvers (legacy) the cache-flush bit is off and the
// target of an SRV record is not compressed.
//
// "The cache-flush bit MUST NOT be set in any resource records in a response
// message sent in legacy unicast responses", RFC 6762 §10.2; compression: §18.14.
func (m *message) pack(legacy bool) (b []byte, ok bool) {
	p := packer{b: make([]byte, m.bound()), off: headerSize, names: map[string]int{}, legacy: legacy, ok: true}
	for i := range m.questions {
		p.question(&m.questions[i])
	}
	for _, section := range [][]record{m.answers, m.authority, m.extras} {
		for i := range section {
			p.record(&section[i])
		}
	}
	m.packHeader(p.b)
	return p.b[:p.off], p.ok && p.off <= maxPacketSize
}

func (m *message) packHeader(b []byte) {
	flags := 0
	if m.response {
		flags = flagResponse | flagAuthoritative
	}
	if m.truncated {
		flags |= flagTruncated
	}
	for i, v := range []int{int(m.id), flags, len(m.questions), len(m.answers), len(m.authority), len(m.extras)} {
		binary.BigEndian.PutUint16(b[2*i:], uint16(v))
	}
}

// bound is at least the packed size: presentation is never shorter than wire.
func (m *message) bound() int {
	n := headerSize
	for _, q := range m.questions {
		n += len(q.name) + 6
	}
	for _, section := range [][]record{m.answers, m.authority, m.extras} {
		for i := range section {
			r := &section[i]
			n += len(r.name) + len(r.target) + len(r.blob) + 36
		}
	}
	return n
}

type packer struct {
	b      []byte
	off    int
	names  map[string]int
	legacy bool
	ok     bool
}

func (p *packer) question(q *question) {
	p.name(q.name, true)
	class := uint16(dns.ClassINET)
	if q.unicast {
		class |= topBit
	}
	p.uint16(q.typ)
	p.uint16(class)
}

func (p *packer) record(r *record) {
	p.name(r.name, true)
	class := uint16(dns.ClassINET)
	if r.flush && !p.legacy {
		class |= topBit
	}
	p.uint16(r.typ)
	p.uint16(class)
	p.uint16(uint16(r.ttl >> 16))
	p.uint16(uint16(r.ttl))
	size := p.off
	p.off += 2
	p.data(r)
	binary.BigEndian.PutUint16(p.b[size:], uint16(p.off-size-2))
}

func (p *packer) data(r *record) {
	switch r.typ {
	case dns.TypePTR:
		p.name(r.target, true)
	case dns.TypeSRV:
		p.uint16(r.priority)
		p.uint16(r.weight)
		p.uint16(r.port)
		p.name(r.target, !p.legacy)
	case dns.TypeNSEC:
		p.name(r.target, !p.legacy)
		p.off += copy(p.b[p.off:], r.blob)
	default:
		p.off += copy(p.b[p.off:], r.rdata())
	}
}

func (p *packer) uint16(v uint16) {
	binary.BigEndian.PutUint16(p.b[p.off:], v)
	p.off += 2
}

func (p *packer) name(n name, compress bool) {
	off, err := dns.PackDomainName(string(n), p.b, p.off, p.names, compress)
	if err != nil {
		p.ok = false
		p.b[p.off] = 0
		off = p.off + 1
	}
	p.off = off
}

// A group is what must travel in one packet. Extras may be left behind.
type group struct {
	questions                  []question
	answers, authority, extras []record
}

// A splitter spreads groups over as few packets as they fit in.
type splitter struct {
	base message // id and flags of every packet
	out  []message
	have map[ident]bool // records of the last packet
	size sizer          // of the last packet
}

func newSplitter(base message) *splitter { return &splitter{base: base} }

// add reports whether the extras have gone in.
func (s *splitter) add(g group) (whole bool) {
	whole = true
	if len(s.out) == 0 || s.size.with(&g, s.have) > packetSize {
		s.open()
		if s.size.with(&g, s.have) > packetSize {
			g.extras, whole = nil, false
		}
	}
	m := &s.out[len(s.out)-1]
	for _, q := range g.questions {
		m.questions = append(m.questions, q)
		s.size.question(&q)
	}
	s.put(&m.answers, g.answers)
	s.put(&m.authority, g.authority)
	s.put(&m.extras, g.extras)
	return whole
}

func (s *splitter) open() {
	s.out = append(s.out, s.base)
	s.have = map[ident]bool{}
	s.size = sizer{total: headerSize, names: map[name]bool{}}
}

func (s *splitter) put(to *[]record, rr []record) {
	for i := range rr {
		if s.have[rr[i].ident] {
			continue
		}
		s.have[rr[i].ident] = true
		s.size.record(&rr[i])
		*to = append(*to, rr[i])
	}
}

// A sizer knows how large a packet gets, name compression included.
type sizer struct {
	total int
	names map[name]bool // suffixes already there
}

// with bounds the size of the packet if the group came in: names of the group
// itself are counted as if each were the first of its kind but for suffixes
// already in the packet.
func (z *sizer) with(g *group, have map[ident]bool) int {
	n := z.total
	for _, q := range g.questions {
		n += z.cost(q.name) + 4
	}
	for _, section := range [][]record{g.answers, g.authority, g.extras} {
		for i := range section {
			if !have[section[i].ident] {
				n += z.recordCost(&section[i])
			}
		}
	}
	return n
}

func (z *sizer) recordCost(r *record) int {
	n := z.cost(r.name) + 10
	switch r.typ {
	case dns.TypePTR:
		return n + z.cost(r.target)
	case dns.TypeSRV:
		return n + 6 + z.cost(r.target)
	case dns.TypeA:
		return n + 4
	case dns.TypeAAAA:
		return n + 16
	case dns.TypeNSEC:
		return n + z.cost(r.target) + len(r.blob)
	default:
		return n + len(r.blob)
	}
}

// cost is what a name adds to the packet.
func (z *sizer) cost(n name) int {
	sum := 0
	for n != "" && n != "." {
		if z.names[n] {
			return sum + 2
		}
		label, rest := n.cut()
		sum += 1 + len(UnescapeLabel(label))
		n = rest
	}
	return sum + 1
}

func (z *sizer) enter(n name) {
	for n != "" && !z.names[n] {
		z.names[n] = true
		_, n = n.cut()
	}
}

func (z *sizer) question(q *question) {
	z.total += z.cost(q.name) + 4
	z.enter(q.name)
}

func (z *sizer) record(r *record) {
	// The target may end in the owner's name: enter the owner first.
	owner := z.cost(r.name)
	z.enter(r.name)
	z.total += owner + z.recordCost(r) - z.cost(r.name)
	if r.target != "" {
		z.enter(r.target)
	}
}
