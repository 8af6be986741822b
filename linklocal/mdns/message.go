package mdns

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	topBit     = 1 << 15 // QU in a question's class, cache-flush in a record's

	flagResponse      = 1 << 15
	flagAuthoritative = 1 << 10
	flagTruncated     = 1 << 9
	maskOpcodeRcode   = 0x780f

	maxBitmap = 256 // bytes of a NSEC record's type bitmap; one block takes at most 34
)

var (
	errMalformed = errors.New("mdns: malformed packet")
	errForeign   = errors.New("mdns: opcode or response code is not zero") // RFC 6762 §18.3, §18.11: silently ignored
)

type question struct {
	name, key name
	typ       uint16
	unicast   bool // QU, RFC 6762 §5.4
}

// A message is one DNS message, received or to be sent. Of a received one it
// holds the records of the types we understand.
type message struct {
	id                         uint16
	response, truncated        bool
	questions                  []question
	answers, authority, extras []record
	skipped                    int // records left out: malformed, too large or beyond the cap
}

// parseMessage reads a packet. Records of other types or classes are left
// out silently, broken ones with a count; only a packet whose framing is
// broken is an error.
func parseMessage(b []byte, lim *Limits) (*message, error) {
	if len(b) < headerSize {
		return nil, errMalformed
	}
	flags := binary.BigEndian.Uint16(b[2:])
	if flags&maskOpcodeRcode != 0 {
		return nil, errForeign
	}
	m := &message{id: binary.BigEndian.Uint16(b), response: flags&flagResponse != 0, truncated: flags&flagTruncated != 0}
	p := parser{b: b, off: headerSize, lim: lim, m: m}
	var counts [4]int
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	if !p.readQuestions(counts[0]) {
		return nil, errMalformed
	}
	for i, section := range []*[]record{&m.answers, &m.authority, &m.extras} {
		if !p.readRecords(counts[i+1], section) {
			return nil, errMalformed
		}
	}
	return m, nil
}

type parser struct {
	b    []byte
	off  int
	seen int // records looked at
	lim  *Limits
	m    *message
}

func (p *parser) readQuestions(n int) bool {
	if n > p.lim.QuestionsPerPacket {
		return false
	}
	for range n {
		q, end, err := dns.UnpackDomainName(p.b, p.off)
		if err != nil || end+4 > len(p.b) {
			return false
		}
		class := binary.BigEndian.Uint16(p.b[end+2:])
		p.off = end + 4
		if c := class &^ topBit; c != dns.ClassINET && c != dns.ClassANY {
			continue
		}
		p.m.questions = append(p.m.questions, question{
			name: name(q), key: name(q).fold(), typ: binary.BigEndian.Uint16(p.b[end:]), unicast: class&topBit != 0,
		})
	}
	return true
}

func (p *parser) readRecords(n int, to *[]record) bool {
	for range n {
		owner := p.off
		head, ok := skipName(p.b, owner)
		if !ok || head+10 > len(p.b) {
			return false
		}
		data := head + 10
		end := data + int(binary.BigEndian.Uint16(p.b[head+8:]))
		if end > len(p.b) {
			return false
		}
		p.off = end
		if p.seen++; p.seen > p.lim.RecordsPerPacket {
			p.m.skipped++
			continue
		}
		if r, ok := p.readRecord(owner, head, data, end); ok {
			*to = append(*to, r)
		}
	}
	return true
}

// readRecord decodes one record; ok is false if it is none of ours to look at.
func (p *parser) readRecord(owner, head, data, end int) (r record, ok bool) {
	typ := binary.BigEndian.Uint16(p.b[head:])
	class := binary.BigEndian.Uint16(p.b[head+2:])
	if class&^topBit != dns.ClassINET || !understood(typ) {
		return r, false
	}
	n, _, err := dns.UnpackDomainName(p.b, owner)
	if err != nil {
		p.m.skipped++
		return r, false
	}
	r = newRecord(name(n), typ, class&topBit != 0, binary.BigEndian.Uint32(p.b[head+4:]))
	if r.ttl > 1<<31-1 {
		r.ttl = 0 // RFC 2181 §8
	}
	if !p.readData(&r, data, end) {
		p.m.skipped++
		return r, false
	}
	return r, true
}

func understood(typ uint16) bool {
	switch typ {
	case dns.TypeA, dns.TypeAAAA, dns.TypePTR, dns.TypeSRV, dns.TypeTXT, dns.TypeNULL, dns.TypeNSEC:
		return true
	}
	return false
}

func (p *parser) readData(r *record, off, end int) bool {
	data := p.b[off:end]
	switch r.typ {
	case dns.TypeA:
		a, ok := netip.AddrFromSlice(data)
		r.addr = a
		return ok && a.Is4()
	case dns.TypeAAAA:
		a, ok := netip.AddrFromSlice(data)
		r.addr = a
		return ok && a.Is6()
	case dns.TypePTR:
		return p.readTarget(r, off, end)
	case dns.TypeSRV:
		if len(data) < 7 {
			return false
		}
		r.priority = binary.BigEndian.Uint16(data)
		r.weight = binary.BigEndian.Uint16(data[2:])
		r.port = binary.BigEndian.Uint16(data[4:])
		return p.readTarget(r, off+6, end)
	case dns.TypeTXT:
		r.blob = string(data)
		if r.blob == "" {
			r.blob = "\x00" // RFC 6763 §6.1: to be treated as one empty string
		}
		return len(data) <= p.lim.TextSize && validTextBlob(data)
	case dns.TypeNSEC:
		return p.readNSEC(r, off, end)
	default:
		r.blob = string(data)
		return len(data) <= p.lim.NullSize
	}
}

func (p *parser) readTarget(r *record, off, end int) bool {
	t, last, err := dns.UnpackDomainName(p.b, off)
	if err != nil || last != end {
		return false
	}
	r.setTarget(name(t))
	return true
}

// readNSEC takes the bitmap. "If … the "Next Domain Name" field is not the
// record's own name, then the implementation SHOULD ignore the "Next Domain
// Name" field" (in substance), RFC 6762 §6.1: so it is always ignored.
func (p *parser) readNSEC(r *record, off, end int) bool {
	bitmap, ok := skipName(p.b, off)
	if !ok || bitmap > end || end-bitmap > maxBitmap {
		return false
	}
	r.target, r.blob = r.name, string(p.b[bitmap:end])
	return true
}

// skipName returns the offset behind a name without following pointers.
func skipName(b []byte, off int) (int, bool) {
	for off < len(b) {
		switch c := b[off]; {
		case c == 0:
			return off + 1, true
		case c >= 0xc0:
			return off + 2, off+2 <= len(b)
		case c > maxLabel:
			return 0, false
		default:
			off += 1 + int(c)
		}
	}
	return 0, false
}
