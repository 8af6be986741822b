package mdns

import (
	"net/netip"
	"time"
)

const (
	overheardFor = 2 * time.Second
	maxOverheard = 256
)

// An overheard remembers for a moment the address records of hosts on which no
// instance is known to be (yet): who has just said its address does not say it
// again with the service that it publishes then, nor when it is asked.
//
// "a Multicast DNS responder MUST NOT (except in the one special case of
// answering probe queries) multicast a record on a given interface until at
// least one second has elapsed since the last time that record was multicast on
// that particular interface", RFC 6762 §6.
//
// COMPAT avahi 0.8: so it is for half a second, also with announcements.
type overheard []overheardRecord // oldest first

type overheardRecord struct {
	record
	src netip.Addr
	at  time.Time
}

func (o *overheard) add(now time.Time, src netip.Addr, r *record) {
	old := *o
	for len(old) > 0 && (len(old) >= maxOverheard || now.Sub(old[0].at) > overheardFor) {
		old = old[1:]
	}
	*o = append(old, overheardRecord{*r, src, now})
}

// of are the records of a host, in the order in which they were heard.
func (o overheard) of(now time.Time, host name) (found []overheardRecord) {
	for _, r := range o {
		if r.key == host && now.Sub(r.at) <= overheardFor {
			found = append(found, r)
		}
	}
	return found
}
