package rooms

import (
	"net/netip"

	"mellium.im/xmpp/jid"
)

// Info is how things stand with a room, for people. Names are as they are to be
// shown. It is not changed by anybody.
type Info struct {
	Name      string
	MUC       jid.JID
	Group     netip.AddrPort // zero: the Clique room is not found yet
	Members   []string       // of the Clique room, by presence name, without us and other gateways
	Occupants []string       // of the MUC, by nick, without us …
	More      int            // … and how many of them are not named
	State     string         // in words
	Carrier   string         // the presence name of the gateway that carries; "": we do, or nobody does
	Refused   string         // why the MUC does not let us in, in words; "": it does, or nothing is known

	Password    string // of the MUC, for who is invited; "": none. It is not to be shown
	MembersOnly bool   // who is no member must be invited through the MUC; false, too, if that is not known
}

// A Ledger counts what has become of the lines of one direction. What has Entered
// is Pending or has one of the ends.
type Ledger struct {
	Entered    uint64 // since the start, and what was taken over from before it
	Pending    int
	Delivered  uint64 // by us, and seen there
	Elsewhere  uint64 // another gateway has carried it
	Refused    uint64 // by rule: rate, length
	Bounced    uint64 // by the other side
	Expired    uint64 // it waited for too long
	Overflowed uint64 // too many waited
	Duplicate  uint64 // it came before
	Answered   uint64 // a question to the gateway
	Ignored    uint64 // without words for people, or of gateways
}

// Ended is the sum of all ends.
func (l Ledger) Ended() uint64 {
	return l.Delivered + l.Elsewhere + l.Refused + l.Bounced + l.Expired + l.Overflowed + l.Duplicate + l.Answered + l.Ignored
}

func (l *Ledger) add(o Ledger) {
	l.Entered += o.Entered
	l.Pending += o.Pending
	l.Delivered += o.Delivered
	l.Elsewhere += o.Elsewhere
	l.Refused += o.Refused
	l.Bounced += o.Bounced
	l.Expired += o.Expired
	l.Overflowed += o.Overflowed
	l.Duplicate += o.Duplicate
	l.Answered += o.Answered
	l.Ignored += o.Ignored
}

// Stats are counters since New, and sizes now, over all rooms.
type Stats struct {
	FromLAN, FromMUC Ledger
	Rooms, Carried   int    // Carried: those that we carry
	TakenOver        uint64 // how often we began to carry
	Notices          uint64 // told on the LAN
	Unwritten        uint64 // writes that the disk did not take
}
