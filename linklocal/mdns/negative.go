package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// What we say of records that there are not: RFC 6762 §6.1. Apple's peers ask
// for AAAA, and some for NULL, and wait until somebody says so.

// has reports whether there are records of a kind at the claim's own name.
func (c *claim) has(k kind) bool {
	switch k {
	case kindSRV, kindTXT:
		return c.svc != nil
	case kindNULL:
		return c.null != ""
	case kindA, kindAAAA:
		return slices.ContainsFunc(c.addrs, func(a netip.Addr) bool { return a.Is4() == (k == kindA) })
	}
	return false
}

// nsecRecord lists what there is. The bit of NSEC itself stays clear: a record
// that is made up for the answer is none that one could ask for.
func (c *claim) nsecRecord() record {
	var types []uint16
	for k := range kindNSEC {
		if c.has(k) {
			types = append(types, k.dnsType())
		}
	}
	return nsecRecord(c.name, types...)
}

// match finds the record sets at a claim's own name that answer a question.
// Where there is none, the answer is that there is none.
//
// "Any time a responder receives a query for a name for which it has verified
// exclusive ownership, for a type for which that name has no records, the
// responder MUST … respond asserting the nonexistence of that record",
// RFC 6762 §6.1.
//
// Whoever probes asks for all, and may not get a picture of 64 KiB for it.
func (c *claim) match(typ uint16, probe bool) (rr []ref) {
	all := typ == dns.TypeANY
	for k := range kindNSEC {
		if c.has(k) && (typ == k.dnsType() || all && !(probe && k == kindNULL)) {
			rr = append(rr, ref{c: c, k: k})
		}
	}
	if len(rr) == 0 {
		rr = append(rr, ref{c: c, k: kindNSEC})
	}
	return rr
}

// addrRefs are the addresses at a name, and that it has none of a kind.
//
// "In the event that a device has only IPv4 addresses but no IPv6 addresses,
// or vice versa, then the appropriate NSEC record SHOULD be placed into the
// additional section", RFC 6762 §6.2.
func (c *claim) addrRefs() (rr []ref) {
	for _, k := range []kind{kindA, kindAAAA} {
		if !c.has(k) {
			k = kindNSEC
		}
		rr = append(rr, ref{c: c, k: k})
	}
	return rr
}

// correctDenial takes back what was said about a kind that there is now.
func (e *Engine) correctDenial(now time.Time, c *claim) {
	if s := &c.sched[kindNSEC]; c.state == established && !s.sent.IsZero() {
		e.announce(now, ref{c: c, k: kindNSEC})
		s.left = 1
	}
}
