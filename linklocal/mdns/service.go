package mdns

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
)

// A ServiceID is the key of one of our publications, chosen by the caller.
type ServiceID string

// A Service is one DNS-SD instance that we publish.
type Service struct {
	ID       ServiceID
	Instance string   // raw UTF-8, cut at 63 bytes; first choice, renamed if taken
	Type     string   // "_name._tcp" or "_name._udp"
	Port     uint16   // of the SRV record
	Text     []string // raw "key=value" strings, each cut at 255 bytes
	Null     []byte   // NULL record at the instance name, TTL 5 s, at most 65535 bytes, served on request

	// Addrs, if set, are published at the instance name itself and the SRV
	// record points there instead of to our host: a multicast group, say.
	Addrs []netip.Addr

	// Rename returns the nth (1, 2, …) alternative to the preferred name. It
	// must be pure. Nil: "preferred-n".
	Rename func(preferred string, n int) string
}

// An Entry is one instance seen on the link, complete: PTR, SRV, TXT and at
// least one address. Its slices must not be changed.
type Entry struct {
	Instance string
	Type     string // "_name._tcp"
	Host     string // SRV target without the dot at the end, "machine.local"
	Port     uint16
	Addrs    []netip.Addr // sorted; link-local IPv6 with the zone of our interface
	Text     []string     // raw strings
	Links    []string     // interfaces where it is seen, sorted
}

// An Event is one of [Established], [Renaming], [Appeared], [Changed],
// [Vanished], [Resolved] and [NullResolved].
type Event interface{ isEvent() }

// Established: the name is ours now; also after a rename or a later conflict.
type Established struct {
	ID       ServiceID
	Instance string
}

// Renaming: Old is taken, New is being probed for.
type Renaming struct {
	ID       ServiceID
	Old, New string
}

// Appeared: a new instance of another is complete.
type Appeared struct{ Entry }

// Changed: something about a known instance is different now.
type Changed struct{ Entry }

// Vanished: an instance said goodbye or its records ran out, or one that was
// learned of did not appear.
type Vanished struct{ Instance, Type string }

// Resolved answers [Engine.Resolve]. Unless OK nothing fresh came in time.
type Resolved struct {
	Query uint64
	Entry Entry
	OK    bool
}

// NullResolved answers [Engine.ResolveNull].
type NullResolved struct {
	Query uint64
	Data  []byte
	OK    bool
}

func (Established) isEvent()  {}
func (Renaming) isEvent()     {}
func (Appeared) isEvent()     {}
func (Changed) isEvent()      {}
func (Vanished) isEvent()     {}
func (Resolved) isEvent()     {}
func (NullResolved) isEvent() {}

// Config is what an Engine needs to know at birth.
type Config struct {
	Host string // preferred host label, US-ASCII letters, digits, hyphens; default "mdns"
	// Yield leaves the name of a service to another who seems to have had it
	// for as long as we have. For names that nobody but us depends on.
	Yield bool

	Quiet  bool         // only ask and listen: no name is published, not the host's either
	Rand   *rand.Rand   // all randomness: delays and jitter
	Zone   string       // interface name, for link-local IPv6 addresses
	Browse []string     // service types to monitor
	Limits Limits       // zero fields: defaults
	Log    *slog.Logger // nil: none
}

// A Packet is a datagram received on the interface.
type Packet struct {
	Data    []byte // not kept
	Src     netip.AddrPort
	Unicast bool // sent to our address, not to the group
}

// A Datagram is a packet to send. A zero To is the multicast group.
type Datagram struct {
	Link string // interface, of a Stack's datagrams
	Data []byte
	To   netip.AddrPort
}

// An Output is what the caller must do: hand over the events, then send the
// datagrams, both in order.
type Output struct {
	Events    []Event
	Datagrams []Datagram
}

// Errors of Register.
var (
	ErrDuplicateID = errors.New("mdns: service id in use")
	ErrTooMany     = errors.New("mdns: too many services")
	ErrClosed      = errors.New("mdns: closed")
)

// check validates what a caller wants published.
func (s *Service) check(lim *Limits) error {
	switch _, err := typeName(s.Type); {
	case err != nil:
		return err
	case s.Instance == "":
		return fmt.Errorf("mdns: service %q has no instance name", s.ID)
	case len(s.Null) > lim.NullSize:
		return fmt.Errorf("mdns: NULL record of %d bytes, at most %d", len(s.Null), lim.NullSize)
	case len(s.Addrs) > maxOwnAddrs:
		return fmt.Errorf("mdns: %d addresses, at most %d", len(s.Addrs), maxOwnAddrs)
	}
	return checkText(s.Text, lim)
}

func checkText(text []string, lim *Limits) error {
	if n := len(textBlob(text)); n > lim.TextSize {
		return fmt.Errorf("mdns: TXT record of %d bytes, at most %d", n, lim.TextSize)
	}
	return nil
}
