package dsps

import (
	"time"

	"meshgate/internal/stanza"
)

// NS is the namespace of every query.
const NS = "jabber:iq:dsps"

const (
	// Protocol is the version of the protocol, not of the document.
	Protocol = "0.5"
	// DefaultPort is where a service listens.
	DefaultPort = 5290
)

// A Right is what a peer may do.
type Right string

// The rights.
const (
	Master Right = "master"
	Slave  Right = "slave"
	Relay  Right = "relay"
)

// A Status is a word of the attributes status and acknowledge.
type Status string

// Statuses of who (connect, wait, expire), of presence (connect, waiting,
// drop), of acknowledge (connect, drop) and of reports to an inviter.
const (
	Connect Status = "connect"
	Wait    Status = "wait"
	Expire  Status = "expire"
	Waiting Status = "waiting"
	Drop    Status = "drop"
	Reject  Status = "reject"
	Timeout Status = "timeout"
	Missing Status = "missing"
)

// Unset is a time that was not given, or could not be read.
const Unset = time.Duration(-1)

// A Query is one <query xmlns='jabber:iq:dsps'/>.
type Query interface{ element() *stanza.Element }

// The queries, by who sends them. Comments are whole <comment/> elements, which
// are passed on as they are.
type (
	// Create asks for a new stream, or for a relay to be connected again.
	Create struct {
		MinThroughput Rate
		MaxPublic     int
		Dests         []Dest
		Comments      []*stanza.Element
	}
	// A Dest is a stream on another service. Host is ours: where the service
	// is if its address does not say it.
	Dest struct {
		JID  JID
		Host string
		Port int // 0: the default
	}
	// Prepared says that a connection is waited for.
	Prepared struct {
		Wait          time.Duration // Unset, or 0: no limit
		Host          string
		Port          int
		MinThroughput Rate
		Protocol      string
		Features      []Feature
	}
	// A Feature is something that the service can do.
	Feature struct{ Type, Version, Data string }
	// RelayKey asks for the next key of another service, and brings it.
	RelayKey struct{ Key string }
	// Auth asks for the next key, and brings it.
	Auth struct{ Key string }
	// Presence says what has become of peers, in order.
	Presence struct{ Peers []PeerPresence }
	// A PeerPresence is one of them.
	PeerPresence struct {
		JID    JID
		Status Status
	}
	// Admin invites and drops.
	Admin struct {
		Expire, Wait time.Duration // Unset, or 0: no limit
		Comments     []*stanza.Element
		Peers        []AdminPeer
	}
	// An AdminPeer is invited (Right is Master or Slave) or dropped (Right is "").
	AdminPeer struct {
		JID   JID
		Right Right
	}
	// Report says to an inviter what failed, and to who drops, who was missing.
	Report struct{ Peers []PeerPresence }
	// Invitation asks whether one wants to join.
	Invitation struct {
		Right    Right
		Expire   time.Duration // Unset, or 0: no limit
		Peers    []JID
		Comments []*stanza.Element
	}
	// Dropped says that the receiver is no peer any more.
	Dropped struct{ Comments []*stanza.Element }
	// Answer answers an invitation, or joins a public stream.
	Answer struct{ Accept bool }
	// Who asks for the peers.
	Who struct{}
	// WhoList is the peers.
	WhoList struct{ Peers []PeerInfo }
	// A PeerInfo is one of them.
	PeerInfo struct {
		JID        JID
		Right      Right
		ID         string
		Status     Status
		Throughput Throughput
	}
	// Stats asks for the state of a stream, or for the public streams.
	Stats struct{}
	// StreamStats is the state of a stream. Times of 0 are no limit.
	StreamStats struct {
		Init                                time.Time
		Protocol                            string
		Port                                int
		MinThroughput                       Rate
		ExpireDefault, WaitDefault, Wait    time.Duration
		Public, MaxPublic                   int
		MasterCount, SlaveCount, RelayCount int
		Features                            []Feature
		Peers                               []JID // where public streams like this are joined
		PublicID                            JID   // ours, to those on the stream: where it is joined
		Comments                            []*stanza.Element
	}
)

// An IQ is a stanza that carries queries.
type IQ struct {
	Kind     string // get, set, result or error
	ID       string
	From, To JID
	Queries  []Query
	Error    *Error // of kind error
}

// Element is the stanza.
func (iq IQ) Element() *stanza.Element {
	parts := []stanza.Part{
		stanza.Attr{Name: "id", Value: iq.ID}, stanza.Attr{Name: "type", Value: iq.Kind},
		stanza.Attr{Name: "from", Value: string(iq.From)}, stanza.Attr{Name: "to", Value: string(iq.To)},
	}
	for _, q := range iq.Queries {
		parts = append(parts, q.element())
	}
	if iq.Error != nil {
		parts = append(parts, iq.Error.element())
	}
	return stanza.New(stanza.NSClient, "iq", parts...)
}

// reply is an answer to iq.
func (iq IQ) reply(kind string, queries ...Query) IQ {
	return IQ{Kind: kind, ID: iq.ID, From: iq.To, To: iq.From, Queries: queries}
}
