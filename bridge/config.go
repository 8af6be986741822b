package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/internal/bounds"
	"meshgate/linklocal"
)

// A Config says who is bridged. Zero fields mean the defaults given.
type Config struct {
	Contacts  []Contact
	Concierge string // user part of the gateway's own presence name, and its mark before its own words; default "meshgate"

	// Peers are patterns of the presence names that may write through the
	// gateway and be written to: exact names, "*" stands for any characters,
	// ASCII case does not count. None means nobody (IJ-05).
	Peers []string
	// PeerContacts narrow that down: a peer whose name one of these rules
	// matches is connected only with the contacts of the rules that match.
	PeerContacts []PeerRule

	Avatar      AvatarPolicy
	AvatarImage *linklocal.Icon // of AvatarFixed
	WarnPlain   bool            // tell peers once that plain streams are neither encrypted nor authenticated
	Streams     jid.JID         // where contacts find the service for streams of data, which help speaks of; zero: there is none

	Limits   Limits
	Timing   Timing
	Location *time.Location // in which the times of old messages are told; default time.Local
	Rand     *rand.Rand     // for ids of messages and threads; default seeded at random
	Log      *slog.Logger   // default: none
}

// A Contact is a person on the network who has a mirror on the mesh.
type Contact struct {
	JID     jid.JID // bare
	User    string  // user part of the mirror's presence name; default the local part of JID
	Offline OfflinePolicy

	// For the mirror's TXT record, as the JID is; linklocal publishes what it may.
	Nick, First, Last, Email string
	Publish                  *linklocal.PublishKeys // what the mesh may know, by the record or from the gateway; default linklocal.DefaultKeys
}

// An OfflinePolicy says what becomes of the mirror of a contact who is offline.
type OfflinePolicy uint8

const (
	// Withdraw takes the mirror off the mesh.
	Withdraw OfflinePolicy = iota
	// ShowOffline keeps it, as "dnd" with the message "offline": messages then
	// wait on the contact's server.
	// COMPAT libpurple: shows "away" as available; only "dnd" is seen.
	ShowOffline
)

// A PeerRule names the contacts that the peers of a pattern are connected with.
type PeerRule struct {
	Peer     string
	Contacts []jid.JID
}

// A Rate bounds how often something may happen.
type Rate = bounds.Rate

// Limits bound what others can make the gateway do and remember.
type Limits struct {
	PeerRate      Rate // messages from each peer; default 60/min, burst 20
	ContactRate   Rate // messages from each contact; default 60/min, burst 20
	BodyBytes     int  // of a message's text, either way; default 8192
	Peers         int  // peers remembered; default 1000
	Conversations int  // of a peer with a contact; default 1000
	PendingToLAN  int  // messages on their way to peers; default 256
	Resources     int  // of each contact; default 16
}

// Timing are the bridge's delays.
type Timing struct {
	Settle       time.Duration // after a new session, until contacts without presence count as offline; default 5 s
	Grace        time.Duration // after the connection is lost, until all contacts count as offline; default 60 s
	MirrorDamp   time.Duration // between two changes of a mirror; default 1 s, as mDNS itself has it (RFC 6762 §6)
	PresenceDamp time.Duration // between two changes of the gateway's own presence; default 5 s
	PublishRetry time.Duration // after a mirror could not be published; default 30 s
	OutageTold   time.Duration // without a connection, until peers who write are told that they wait; default 10 s
	AvatarSettle time.Duration // after the peers' pictures have changed, until the account's does; default 30 s
	AvatarDamp   time.Duration // between two changes of the account's picture; default 10 min
	LookAround   time.Duration // after the start, until a peer who is not seen counts as not there; default 10 s
	TalkIdle     time.Duration // until a conversation is forgotten; default 24 h
	SentKept     time.Duration // how long it is remembered what became of a message; default 7 days
}

func defaultTo[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

func (c Config) withDefaults() Config {
	defaultTo(&c.Concierge, "meshgate")
	defaultTo(&c.Limits.PeerRate, Rate{PerMinute: 60, Burst: 20})
	defaultTo(&c.Limits.ContactRate, Rate{PerMinute: 60, Burst: 20})
	defaultTo(&c.Limits.BodyBytes, 8192)
	defaultTo(&c.Limits.Peers, 1000)
	defaultTo(&c.Limits.Conversations, 1000)
	defaultTo(&c.Limits.PendingToLAN, 256)
	defaultTo(&c.Limits.Resources, 16)
	defaultTo(&c.Timing.Settle, 5*time.Second)
	defaultTo(&c.Timing.Grace, time.Minute)
	defaultTo(&c.Timing.MirrorDamp, time.Second)
	defaultTo(&c.Timing.PresenceDamp, 5*time.Second)
	defaultTo(&c.Timing.PublishRetry, 30*time.Second)
	defaultTo(&c.Timing.OutageTold, 10*time.Second)
	defaultTo(&c.Timing.AvatarSettle, 30*time.Second)
	defaultTo(&c.Timing.AvatarDamp, 10*time.Minute)
	defaultTo(&c.Timing.LookAround, 10*time.Second)
	defaultTo(&c.Timing.TalkIdle, 24*time.Hour)
	defaultTo(&c.Timing.SentKept, 7*24*time.Hour)
	defaultTo(&c.Location, time.Local)
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says in words what is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("bridge: "+format, args...)) }
	if strings.ContainsAny(c.Concierge, "@[]\\.") {
		wrong("concierge %q: must not hold any of @ [ ] \\ and dots", c.Concierge)
	}
	jids, users := map[string]bool{}, map[string]bool{strings.ToLower(c.Concierge): true}
	if c.Avatar == AvatarFixed && c.AvatarImage == nil {
		wrong("an avatar is to be shown, and there is none")
	}
	for _, ct := range c.Contacts {
		bare, user := ct.JID.Bare().String(), strings.ToLower(ct.user())
		switch {
		case ct.JID.Localpart() == "" || ct.JID.Resourcepart() != "":
			wrong("contact %q: not an address of the form user@domain", ct.JID)
		case jids[bare]:
			wrong("contact %s: given twice", bare)
		case users[user]:
			wrong("contact %s: presence name %q is taken by another contact", bare, user)
		}
		jids[bare], users[user] = true, true
	}
	for _, r := range c.PeerContacts {
		for _, j := range r.Contacts {
			if !jids[j.Bare().String()] {
				wrong("rule for %q: %s is not a contact", r.Peer, j)
			}
		}
	}
	for _, r := range []Rate{c.Limits.PeerRate, c.Limits.ContactRate} {
		if r.PerMinute <= 0 || r.Burst <= 0 {
			wrong("rate %d per minute, burst %d: both must be above zero", r.PerMinute, r.Burst)
		}
	}
	return errors.Join(errs...)
}

func (c Contact) user() string {
	if c.User != "" {
		return c.User
	}
	return c.JID.Localpart()
}

// may is what the mesh may know of the contact.
func (c Contact) may() linklocal.PublishKeys {
	if c.Publish == nil {
		return linklocal.DefaultKeys()
	}
	return *c.Publish
}

// name is what the gateway calls the contact towards peers.
func (c Contact) name() string {
	if c.Nick != "" && c.may().Nick {
		return c.Nick
	}
	return c.user()
}
