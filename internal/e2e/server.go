package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Domain is the domain of every XMPP server of a lab; its rooms are at
// RoomService, its SOCKS5 proxy (Prosody only) at ProxyService.
const (
	Domain       = "example.org"
	RoomService  = "conference." + Domain
	ProxyService = "proxy." + Domain
)

// ServerOptions says what is special about an XMPP server.
type ServerOptions struct {
	// Users are accounts: local part to password.
	Users map[string]string
	// Friends are pairs of users with a mutual subscription from the start.
	Friends [][2]string
	// NoSM switches XEP-0198 off.
	NoSM bool
	// NoArchive switches XEP-0313 off. As it comes, either server's archive is
	// by far the slowest part of it: Prosody's of text files, ejabberd's of
	// Mnesia tables on the disk.
	NoArchive bool
	// Hibernation is how many seconds a lost session can be resumed;
	// 0: the server's default (Prosody 600, ejabberd 300).
	Hibernation int
	// MaxQueue is how many stanzas the server keeps unacknowledged;
	// 0: the server's default (Prosody 500, ejabberd 5000).
	MaxQueue int
	// Rate limits what a client may send, in Prosody's words ("10kb/s");
	// ejabberd takes the number as bytes a second. Empty: no limit.
	Rate string
	// Burst is how many bytes ejabberd takes at once before Rate counts; 0: its
	// default. Prosody, on the event loop that it comes with, grants none.
	Burst int
	// LineGap is how often ejabberd takes a line of an occupant of a room; 0: there is no limit.
	LineGap time.Duration
	// ResumeFix repairs Prosody's resumption after half a stanza: without it
	// the old connection's parser goes on with the new connection's bytes.
	ResumeFix bool
	// NoDelay switches Nagle's algorithm off at Prosody.
	NoDelay bool
	// Clock is how far Prosody's clock is ahead, as far as it tells others
	// (XEP-0202).
	Clock time.Duration
	// Debug makes the log that a failed test shows a debug log.
	Debug bool
	// Extra is added to the global part of the configuration.
	Extra string
}

// A Server is an XMPP server that runs in a host.
type Server struct {
	*Proc  // the current process: another one after Restart
	Kind   string
	CAFile string // what clients must trust

	host  *Host
	opt   ServerOptions
	dir   string // under the host's directory
	certs certificates
	plain uint16 // port of RFC 6120 with STARTTLS
	tls   uint16 // port of XEP-0368, TLS from the start
	spec  Spec
	ready []string // what the server logs when it serves, in any order
}

// newServer makes what both servers need. Two servers in one host need
// different kinds.
func (h *Host) newServer(kind string, opt ServerOptions) *Server {
	h.tb.Helper()
	s := &Server{Kind: kind, host: h, opt: opt, dir: kind, plain: 5222, tls: 5223}
	var err error
	if s.certs, err = writeCertificates(h, s.dir, Domain, RoomService); err != nil {
		h.tb.Fatalf("e2e: %s: %v", kind, err)
	}
	s.CAFile = s.certs.ca
	return s
}

// run starts the server and waits until it serves.
func (s *Server) run() *Server {
	s.host.tb.Helper()
	s.Proc = s.host.StartSpec(s.spec)
	for _, re := range s.ready {
		s.Expect(re)
	}
	return s
}

// Host is where the server runs.
func (s *Server) Host() *Host { return s.host }

// Addr is where clients connect to use STARTTLS: the host's address on the LAN.
func (s *Server) Addr() string { return netip.AddrPortFrom(s.host.addr, s.plain).String() }

// DirectTLSAddr is where clients connect that begin with TLS.
func (s *Server) DirectTLSAddr() string { return netip.AddrPortFrom(s.host.addr, s.tls).String() }

// LoopbackAddr is Addr for programs in the same host.
func (s *Server) LoopbackAddr() string { return fmt.Sprintf("%s:%d", s.listenAddrs()[0], s.plain) }

// JID is a user's bare address.
func (s *Server) JID(user string) string { return user + "@" + Domain }

// Room is the address of a room.
func (s *Server) Room(name string) string { return name + "@" + RoomService }

// Start runs a stopped or killed server again, with everything it stored.
func (s *Server) Start() {
	s.host.tb.Helper()
	s.run()
}

// Restart stops the server in order and starts it again.
func (s *Server) Restart() {
	s.host.tb.Helper()
	s.Stop()
	s.Start()
}

// listenAddrs are the addresses that the server listens on.
func (s *Server) listenAddrs() []string {
	if s.host.local {
		return []string{s.host.addr.String()}
	}
	return []string{"127.0.0.1", s.host.addr.String()}
}

// friendsOf returns the users who are friends of a user, sorted.
func (o ServerOptions) friendsOf(user string) []string {
	var friends []string
	for _, pair := range o.Friends {
		switch user {
		case pair[0]:
			friends = append(friends, pair[1])
		case pair[1]:
			friends = append(friends, pair[0])
		}
	}
	slices.Sort(friends)
	return slices.Compact(friends)
}

// users returns all account names, sorted.
func (o ServerOptions) users() []string {
	var users []string
	for user := range o.Users {
		users = append(users, user)
	}
	slices.Sort(users)
	return users
}

// replaceAll fills a template: pairs of "@NAME@" and value.
func replaceAll(template string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(template)
}
