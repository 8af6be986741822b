package streams

import (
	"context"
	"errors"
	"log/slog"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// A Config says what the service is like and who may use it.
type Config struct {
	// Server but for what is decided here: addresses, policy and hosts.
	Server   dsps.ServerConfig
	Contacts []Contact
	Policy   Policy
	// Create are patterns, see bridge.Config.Peers, of presence names and
	// addresses that may create streams, out of those who may use the gateway;
	// none means all.
	Create []string
	// Relays are where connections to other services may be made, as host:port.
	Relays []string
	// Host is where contacts connect, LANHost where peers do; "": what FindLANHost
	// says, which must not wait.
	Host, LANHost string
	FindLANHost   func() string
	// Sessions is how many further sessions of the account there may be at a time:
	// so many streams more a contact's client may be on, and so many more public
	// ones contacts may join.
	Sessions int
	// Prepare, if not nil, is called before each attempt to listen: if it fails,
	// that has failed.
	Prepare func() error
	// Tell, if not nil, is told why there are no streams, and with nil that there
	// are, each time that this changes. It must not wait.
	Tell func(error)
	Log  *slog.Logger // default: none
}

// A Contact is somebody on the network, and the name of the mirror on the LAN.
type Contact struct {
	JID    jid.JID
	Mirror linklocal.Instance // as it is wanted
}

// A Policy says who may use the gateway; bridge.Policy is one.
type Policy interface {
	Admits(peer linklocal.Instance) bool
	Connects(peer linklocal.Instance, contact jid.JID) bool
}

var errAway = errors.New("streams: the contact is not there")

// Parts are what stanzas go out by.
type Parts struct {
	LAN interface {
		Send(linklocal.Outgoing)
	}
	Server interface {
		Send(*stanza.Element) error
		// ConflictOver says that the session that has taken the place of the
		// gateway's own one is no more.
		ConflictOver()
	}
	// Login has a further session, with that resource if the server likes it. Its
	// errors are an *xmppc2s.Error where that knows why. Nil: there are none.
	Login func(ctx context.Context, resource string) (Session, error)
}
