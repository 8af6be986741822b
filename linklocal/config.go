package linklocal

import (
	"log/slog"
	"os"
	"time"
)

// A Config is what a Service can be told. Zero fields mean the defaults named here.
type Config struct {
	// Machine is the machine part of our presence names. What is not
	// US-ASCII letter, digit or hyphen becomes a hyphen. Default: the first
	// label of the name of this computer.
	Machine string

	// Node is the URI that stands for this program in entity capabilities
	// (XEP-0115). Default: none are published.
	Node string
	// Features are the namespaces that whoever reads our contacts' messages
	// understands. What a Service itself answers needs no mention.
	Features []string

	// Queries to one of our contacts that somebody else answers; default none.
	Queries Queries

	Rename   Rename       // how a name is changed that somebody else has; default RenameDigit
	Publish  *PublishKeys // what may be published of contacts that do not say so themselves; default DefaultKeys
	Discover bool         // run the active discovery client beside the monitor

	// IconCache is the directory where peers' icons are kept; "": in memory only.
	IconCache string

	TLS TLS // encryption of streams; default none

	Idle          time.Duration // a stream without stanzas for so long is ended; default 10 min
	DialTimeout   time.Duration // for all addresses of a peer together; default 5 s
	HeaderTimeout time.Duration // until the other side's stream header is complete; default 10 s
	CallerTimeout time.Duration // from the header until the first stanza of a nameless caller; default 1 min
	// Until a peer that has stream features sends them, or says whether it
	// wants what we offer; then its stream is a plain one. Default 2 s.
	NegotiateTimeout time.Duration
	HandshakeTimeout time.Duration // of TLS; default 10 s
	WriteTimeout     time.Duration // for one write to a peer that does not read; default 10 s
	CloseTimeout     time.Duration // for the other side's end tag, and for Run to end; default 2 s
	// News is for how long a name that has appeared, a contact's or a peer's,
	// may not be known to everybody yet; so long a caller waits whom mDNS does
	// not know. Default 10 s.
	News time.Duration
	// Settle is for how long a peer is not called after one of the two has
	// appeared, unless it calls itself. Default 1.25 s: the announcement goes
	// out twice within a second (RFC 6762 §8.3), and one may be lost.
	//
	// COMPAT libpurple 2.14 lets in a call from an address that it knows, by
	// another contact of ours, and then drops each stanza of a contact whom it
	// has not heard of yet, or crashes.
	Settle time.Duration

	MaxContacts       int // published by us; default 1024
	MaxPeers          int // in the roster; more are ignored; default 1024
	MaxStreams        int // in all; default 1024; three quarters of them may be opened by peers
	MaxStreamsPerAddr int // opened by one source address, one per contact as a rule; default 64
	MaxStanza         int // bytes of one stanza, both ways; default 64 KiB
	MaxQueued         int // outgoing stanzas not yet done, for all peers together; default 4096
	// Outgoing stanzas not yet done, for one peer of one contact; default 256,
	// as many as the server session lets be on their way: then it waits for
	// us, and nothing is refused.
	QueuePerPeer int

	// What one stream may send us before we read it no faster: stanzas per
	// second, default 20, and bytes per second, default 64 KiB. Both may come
	// in bursts, of twice as many stanzas and of one stanza's size.
	StanzaRate float64
	ByteRate   float64

	Log *slog.Logger // nil: none
}

func (c Config) withDefaults() Config {
	if c.Machine == "" {
		c.Machine, _ = os.Hostname()
	}
	orDefault(&c.Idle, 10*time.Minute)
	orDefault(&c.DialTimeout, 5*time.Second)
	orDefault(&c.HeaderTimeout, 10*time.Second)
	orDefault(&c.CallerTimeout, time.Minute)
	orDefault(&c.NegotiateTimeout, 2*time.Second)
	orDefault(&c.HandshakeTimeout, 10*time.Second)
	orDefault(&c.WriteTimeout, 10*time.Second)
	orDefault(&c.CloseTimeout, 2*time.Second)
	orDefault(&c.News, 10*time.Second)
	orDefault(&c.Settle, 1250*time.Millisecond)
	orDefault(&c.MaxContacts, 1024)
	orDefault(&c.MaxPeers, 1024)
	orDefault(&c.MaxStreams, 1024)
	orDefault(&c.MaxStreamsPerAddr, 64)
	orDefault(&c.MaxStanza, 64<<10)
	orDefault(&c.MaxQueued, 4096)
	orDefault(&c.QueuePerPeer, 256)
	orDefault(&c.StanzaRate, 20)
	orDefault(&c.ByteRate, 64<<10)
	orDefault(&c.TLS.Forget, "have its old key forgotten")
	if c.TLS.Pins == nil {
		c.TLS.Pins = newMemoryPins()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}
