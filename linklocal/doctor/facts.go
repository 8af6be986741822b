package doctor

import (
	"net/netip"
	"time"
)

// Facts are what the probes have found out. Zero fields: not looked at, or
// nothing found.
type Facts struct {
	Now   time.Time // our clock
	Built time.Time // when the program was installed: it cannot be earlier now

	Wanted []string // the interfaces that the configuration names; none: the first usable
	Links  []Link   // all but loopback, in the system's order
	Route  Route
	Port   Port
	LANs   []LAN // what was heard, for each interface in use
	Named  bool  // we know the gateway's names, and asked for them

	Gateway Gateway
	Server  Server
}

// A Link is a network interface as the system knows it.
type Link struct {
	Name      string
	Up        bool // switched on
	Running   bool // and there is a cable, or a Wi-Fi network
	Multicast bool
	Tunnel    bool           // leads to one other host only: used if it is named
	Routed    bool           // the default route of IPv4 goes there
	Prefixes  []netip.Prefix // addresses, IPv4 and IPv6

	// Of a Linux bridge, the interface itself or what it belongs to.
	Bridge            string
	Snooping, Querier bool
}

// A Route is where a packet to the mDNS group goes that names no interface.
type Route struct {
	Known bool
	Err   string     // why it goes nowhere; "": it goes
	From  netip.Addr // the source address that it would have
}

// A Port is what became of the attempt to share UDP port 5353.
type Port struct {
	Err    string // "": it can be shared
	InUse  bool   // somebody does not share it
	Holder string // "mdnsd (process 123)", as far as that can be known
}

// A LAN is what was heard on one interface by one family of addresses. By
// IPv6 nobody is asked directly.
type LAN struct {
	Link string
	IPv6 bool
	Wait time.Duration // for how long we listened

	SendErr  string // why nothing could be sent; "": it was
	Filtered bool   // and that is a firewall
	Sent     int    // questions with the mark
	Looped   bool   // our own multicast came back to us, as it must on every host

	Multicast []netip.Addr // who was heard by multicast, besides us
	Unicast   []netip.Addr // who answered by unicast
	Echoes    []Echo       // who sent our mark again
	Querier   netip.Addr   // an IGMP querier
	CanHear   bool         // we may listen for one

	// If nobody was heard by multicast:
	Swept      bool
	Router     netip.Addr // where the default route leads to
	RouterUp   bool
	Neighbours []netip.Addr // who else is there, besides the router

	Held []Held
}

// An Echo is how often our mark came from another address.
type Echo struct {
	From  netip.Addr
	Times int
}

// Held is a name of ours that somebody else uses.
type Held struct {
	Name string
	By   netip.Addr
	Host string // "h2.local", if known
}

// A Gateway is the one that runs on this machine.
type Gateway struct {
	Closed  bool // this user may not ask whether it runs
	Running bool
	Online  bool
	Server  string // how it stands with the server, in words
	Renamed []Renamed
}

// Renamed is a presence name that the gateway had to change.
type Renamed struct{ Wanted, Name string }

// A Server is what was found out about the XMPP server.
type Server struct {
	Asked   bool
	Skipped string // why it was not asked
	Problem string // a word for what is wrong, of xmppc2s.Problem; "": nothing
	Err     string // the same in words

	Addr        string
	TLS         bool
	CertExpires time.Time

	SM, Resumable bool
	ResumeMax     time.Duration // 0: not known

	PEP, VCard, Blocking, Carbons, Archive, Ping bool
	Rooms                                        string

	HasTime bool
	Ahead   time.Duration // of our clock
}
