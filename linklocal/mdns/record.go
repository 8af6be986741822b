package mdns

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Lifetimes of our own records in seconds, RFC 6762 §10.
const (
	ttlHost  = 120  // records that contain a host name or an address
	ttlOther = 4500 // all others
	ttlNull  = 5    // COMPAT libpurple 2.14: asks a cache first, so an old picture must not linger there
	ttlMax   = 4500 // longest lifetime believed of others
)

// An ident is what makes two records the same record: name, type and data.
// Names in it are folded.
type ident struct {
	key                    name
	typ                    uint16
	target                 name // PTR, SRV
	priority, weight, port uint16
	addr                   netip.Addr // A, AAAA
	blob                   string     // TXT: strings with their length bytes; NULL: raw; NSEC: bitmap
}

// A record is a resource record of class IN of one of the types A, AAAA, PTR,
// SRV, TXT, NULL and NSEC. Records are values; they are never changed once built.
type record struct {
	ident
	name   name // as spelled by its sender
	target name // as spelled by its sender
	flush  bool // the cache-flush bit: the set is unique to its sender
	ttl    uint32
}

func newRecord(n name, typ uint16, flush bool, ttl uint32) record {
	return record{ident: ident{key: n.fold(), typ: typ}, name: n, flush: flush, ttl: ttl}
}

func ptrRecord(owner, target name) record {
	r := newRecord(owner, dns.TypePTR, false, ttlOther)
	r.setTarget(target)
	return r
}

func srvRecord(owner name, port uint16, target name) record {
	r := newRecord(owner, dns.TypeSRV, true, ttlHost)
	r.port = port
	r.setTarget(target)
	return r
}

func txtRecord(owner name, blob string) record {
	r := newRecord(owner, dns.TypeTXT, true, ttlOther)
	r.blob = blob
	return r
}

func nullRecord(owner name, data string) record {
	r := newRecord(owner, dns.TypeNULL, true, ttlNull)
	r.blob = data
	return r
}

// nsecRecord says which types there are at a name, and so that there is no
// other. The bitmap is that of block 0: types below 256.
func nsecRecord(owner name, types ...uint16) record {
	var bits [32]byte
	size := 0
	for _, t := range types {
		bits[t/8] |= 0x80 >> (t % 8)
		size = max(size, int(t/8)+1)
	}
	r := newRecord(owner, dns.TypeNSEC, true, ttlHost)
	r.target = owner // "contains the record's own name", RFC 6762 §6.1
	r.blob = string(append([]byte{0, byte(size)}, bits[:size]...))
	return r
}

// denies reports whether a NSEC record says that there is no record of a type,
// which is below 256. Other blocks than the first are none of mDNS.
func (r *record) denies(typ uint16) bool {
	if len(r.blob) < 3 || r.blob[0] != 0 || int(r.blob[1]) > len(r.blob)-2 {
		return false
	}
	i := int(typ / 8)
	return i >= int(r.blob[1]) || r.blob[2+i]&(0x80>>(typ%8)) == 0
}

func addrRecord(owner name, a netip.Addr) record {
	r := newRecord(owner, addrType(a), true, ttlHost)
	r.addr = a
	return r
}

func addrType(a netip.Addr) uint16 {
	if a.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

func (r *record) setTarget(t name) { r.target, r.ident.target = t, t.fold() }

func (r *record) lifetime() time.Duration {
	return time.Duration(min(r.ttl, ttlMax)) * time.Second
}

// withTTL returns the record with another lifetime.
func (r record) withTTL(ttl uint32) record {
	r.ttl = ttl
	return r
}

// rdata is the data as on the wire, names uncompressed: what the tie-break of
// RFC 6762 §8.2 compares.
func (r *record) rdata() []byte {
	switch r.typ {
	case dns.TypeA, dns.TypeAAAA:
		return r.addr.AsSlice()
	case dns.TypePTR:
		return wireName(r.target)
	case dns.TypeSRV:
		b := binary.BigEndian.AppendUint16(nil, r.priority)
		b = binary.BigEndian.AppendUint16(b, r.weight)
		b = binary.BigEndian.AppendUint16(b, r.port)
		return append(b, wireName(r.target)...)
	case dns.TypeNSEC:
		return append(wireName(r.target), r.blob...)
	default:
		return []byte(r.blob)
	}
}

func wireName(n name) []byte {
	b := make([]byte, 256)
	end, err := dns.PackDomainName(string(n), b, 0, nil, false)
	if err != nil {
		return nil
	}
	return b[:end]
}

// textBlob joins strings into the data of a TXT record. A string longer than
// 255 bytes is cut on a rune boundary.
//
// "An empty TXT record containing zero strings is not allowed", RFC 6763 §6.1:
// no strings make one empty string.
func textBlob(text []string) string {
	var b []byte
	for _, s := range text {
		s = cutBytes(s, 255)
		b = append(append(b, byte(len(s))), s...)
	}
	if len(b) == 0 {
		return "\x00"
	}
	return string(b)
}

// textStrings is the inverse of textBlob; empty strings are left out
// (RFC 6763 §6.1: they MUST be silently ignored).
func textStrings(blob string) []string {
	var text []string
	for len(blob) > 0 {
		n := int(blob[0])
		if n > 0 {
			text = append(text, blob[1:1+n])
		}
		blob = blob[1+n:]
	}
	return text
}

func validTextBlob(b []byte) bool {
	for len(b) > 0 {
		n := 1 + int(b[0])
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}
