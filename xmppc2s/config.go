package xmppc2s

import (
	"crypto/x509"
	"log/slog"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// Config says which account the client uses and how it behaves. Zero fields
// mean the defaults; JID and Password have none.
type Config struct {
	// JID is the account. A resource in it is asked for (default "meshgate");
	// it should stay the same from start to start.
	JID      jid.JID
	Password string

	// Host and Port are the server to connect to. Without Host it is found by
	// SRV records: _xmpp-client and (direct TLS, XEP-0368) _xmpps-client, and
	// without those it is the domain itself. Port is 5222 (DirectTLS: 5223).
	Host      string
	Port      uint16
	DirectTLS bool // Host speaks TLS from the first byte

	// RootCAs are trusted instead of the system's authorities. If Pins is not
	// empty, a certificate counts as the server's if, and only if, one of Pins
	// is the SHA-256 of its SubjectPublicKeyInfo: neither its authority nor
	// its name nor its dates matter then.
	RootCAs *x509.CertPool
	Pins    [][]byte

	AllowPlainAuth bool // SASL PLAIN, if nothing better is offered; only over TLS
	InsecureNoTLS  bool // streams without any encryption: for tests on loopback

	// Contacts are the people whom the account wants to see: it subscribes to
	// their presence and lets them subscribe to its own. Anybody else's request
	// is denied.
	Contacts []jid.JID

	// QueueLimit (default 10000 stanzas) and QueueBytes (default 16 MiB) bound
	// what Send has accepted and the server has not acknowledged.
	QueueLimit int
	QueueBytes int
	// Journal is where the session and what waits survive the process; nil:
	// nowhere. MessageTTL is how long a message may wait; 0: for ever.
	Journal    Journal
	MessageTTL time.Duration
	// CatchUp is how old what a session that cannot be resumed has missed may be
	// for the client to fetch it from the account's archive (XEP-0313); 0:
	// nothing is fetched. CatchUpMessages (default 1000) is how much, at most.
	CatchUp         time.Duration
	CatchUpMessages int
	// MaxUndone (default 256) is how many messages may be waiting for their
	// Done before reading pauses.
	MaxUndone int
	// MaxStanza (default 256 KiB) is the most bytes of one inbound stanza. A
	// longer one is left out, and counted. Limits bound what is in it.
	MaxStanza int
	Limits    stanza.Limits
	// MaxResources (default 32) is how many resources of one contact are
	// known at a time.
	MaxResources int
	// MaxOccupants (default 500) is how many occupants of one room are known by
	// name.
	MaxOccupants int

	// Queries that somebody else answers; default none.
	Queries Queries

	// AvatarCache is the directory where contacts' pictures are kept; "": in
	// memory only.
	AvatarCache string

	SM sm.Policy
	// Window is how many bytes of stanzas may be sent and not acknowledged, if
	// not less is learned from how fast the server takes them; 0: 4000 towards
	// Prosody; negative: whatever there is.
	Window  int
	Backoff Backoff

	DialTimeout      time.Duration // for TCP, each address; default 10 s
	NegotiateTimeout time.Duration // from TCP to a bound session; default 20 s
	WriteTimeout     time.Duration // for 16 KiB; default 20 s
	StopTimeout      time.Duration // to send what waits, when stopping; default 2 s

	// CloseOnStop: the stream is closed when Run ends, and the server forgets
	// the session. Otherwise the session stays resumable.
	CloseOnStop bool

	// Name and Version are what XEP-0092 and service discovery show
	// (default "meshgate", no version).
	Name    string
	Version string

	Log *slog.Logger // default: none
}

const (
	defaultResource = "meshgate"
	// prosodyWindow is what keeps a cut connection from leaving half a stanza
	// in Prosody's parser: it reads pieces of 4096 bytes.
	prosodyWindow = 4000
	// prosodyRotate is where a session is replaced: COMPAT Prosody 0.12 does
	// not wrap its counters at 2^32.
	prosodyRotate = 1 << 31
	// queueReserve and queueReserveBytes are how much the queue may grow beyond
	// its limits by what the client itself has to say.
	queueReserve      = 1024
	queueReserveBytes = 1 << 20
)

func (c Config) withDefaults() Config {
	orDefault(&c.Port, defaultPort(c.DirectTLS))
	orDefault(&c.QueueLimit, 10000)
	orDefault(&c.QueueBytes, 16<<20)
	orDefault(&c.MaxUndone, 256)
	orDefault(&c.CatchUpMessages, 1000)
	orDefault(&c.MaxStanza, 256<<10)
	orDefault(&c.MaxResources, 32)
	orDefault(&c.MaxOccupants, 500)
	orDefault(&c.DialTimeout, 10*time.Second)
	orDefault(&c.NegotiateTimeout, 20*time.Second)
	orDefault(&c.WriteTimeout, 20*time.Second)
	orDefault(&c.StopTimeout, 2*time.Second)
	orDefault(&c.Name, "meshgate")
	orDefault(&c.SM.RotateAt, prosodyRotate)
	c.SM.Journal, c.SM.Acks = c.Journal != nil, true
	c.Backoff = c.Backoff.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func defaultPort(directTLS bool) uint16 {
	if directTLS {
		return 5223
	}
	return 5222
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// resource is what is asked for when binding.
func (c *Config) resource() string {
	if r := c.JID.Resourcepart(); r != "" {
		return r
	}
	return defaultResource
}
