package xmppc2s

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"meshgate/internal/stanza"
)

const (
	// maxComponents bounds of how many components of a server we ask what they are.
	maxComponents = 32
	// componentPatience is how long they have to answer: those that are on
	// another server, or hang, say nothing of this one.
	componentPatience = 3 * time.Second
)

// A Survey is what a server offers to an account.
type Survey struct {
	Addr        string // where it answered
	TLS         bool
	CertExpires time.Time // zero: no TLS

	SM        bool          // XEP-0198 stream management
	Resumable bool          // and a cut session can be resumed …
	ResumeMax time.Duration // … within this time; 0: the server does not say

	PEP, Carbons, Archive, Blocking, VCard, Ping bool   // XEP-0163, 0280, 0313, 0191, 0054, 0199
	Rooms                                        string // address of a service for rooms (XEP-0045); "": none

	HasTime bool          // XEP-0202: the server has told its time
	Ahead   time.Duration // of our clock; to half a round trip
}

const (
	nsTime     = "urn:xmpp:time"
	nsCarbons  = "urn:xmpp:carbons:2"
	nsBlocking = "urn:xmpp:blocking"
	nsVCard    = "vcard-temp"
)

// Ask logs in, asks the server and the account what they can do, and leaves.
// No presence is sent, and the session has a resource of its own: another
// session of the account goes on undisturbed. Beside cfg, ctx bounds it. The
// error is an *Error where the session could not be had.
func Ask(ctx context.Context, cfg Config) (Survey, error) {
	own, err := cfg.JID.WithResource("survey-" + strconv.FormatInt(time.Now().UnixNano(), 36))
	if err != nil {
		return Survey{}, fmt.Errorf("xmppc2s: %w", err)
	}
	cfg.JID = own
	p, err := Login(ctx, cfg)
	if err != nil {
		return Survey{}, err
	}
	defer p.link.raw.Close()
	defer context.AfterFunc(ctx, func() { p.link.raw.Close() })()
	s := &surveyor{Errand: p}
	s.found.Addr = p.link.addr
	if certs := p.link.tls.PeerCertificates; p.link.tls.Version != 0 && len(certs) > 0 {
		s.found.TLS, s.found.CertExpires = true, certs[0].NotAfter
	}
	if err := s.run(); err != nil {
		return s.found, fmt.Errorf("xmppc2s: asking the server: %w", err)
	}
	return s.found, nil
}

// A surveyor is one such session. It belongs to one goroutine.
type surveyor struct {
	*Errand
	found Survey

	asked map[string]question // by id, not answered yet
	last  int
}

// A question is an iq under way.
type question struct {
	to   string
	at   time.Time
	take func(q question, payload *stanza.Element) // not called for an error
}

func (s *surveyor) run() error {
	s.asked = map[string]question{}
	domain, account := s.cfg.JID.Domain().String(), s.cfg.JID.Bare().String()
	b := s.ask(nil, domain, stanza.NSDisco, "query", s.takeInfo)
	b = s.ask(b, account, stanza.NSDisco, "query", s.takeInfo)
	b = s.ask(b, domain, stanza.NSItems, "query", s.takeItems)
	b = s.ask(b, domain, nsTime, "time", s.takeTime)
	if err := s.write(b); err != nil {
		return err
	}
	for s.awaits(domain, account) {
		el, err := s.next(s.cfg.NegotiateTimeout)
		if err != nil {
			return err
		}
		s.answered(el)
	}
	for end := time.Now().Add(componentPatience); len(s.asked) > 0; {
		el, err := s.next(time.Until(end))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		s.answered(el)
	}
	if d := s.link.dialect; d != "" {
		s.found.SM = true
		if err := s.enable(); err != nil {
			return err
		}
	}
	return s.leave()
}

// awaits reports whether one of these has not answered everything yet.
func (s *surveyor) awaits(addrs ...string) bool {
	for _, q := range s.asked {
		if slices.Contains(addrs, q.to) {
			return true
		}
	}
	return false
}

// ask appends a question. It is written by the caller.
func (s *surveyor) ask(b []byte, to, ns, name string, take func(question, *stanza.Element)) []byte {
	s.last++
	id := "survey-" + strconv.Itoa(s.last)
	s.asked[id] = question{to, time.Now(), take}
	return stanza.Append(b, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "get"}, stanza.Attr{Name: "id", Value: id},
		stanza.Attr{Name: "to", Value: to}, stanza.New(ns, name)), stanza.NSClient)
}

// answered takes an answer to a question. Everything else that a server may
// say to a session without presence is of no interest.
func (s *surveyor) answered(el *stanza.Element) {
	id := el.Attr("id")
	q, ok := s.asked[id]
	if !ok || !el.Is(stanza.NSClient, "iq") || el.Attr("from") != q.to && el.Attr("from") != "" {
		return
	}
	typ := el.Attr("type")
	if typ != "result" && typ != "error" {
		return
	}
	delete(s.asked, id)
	if typ == "error" {
		return
	}
	for payload := range el.Children() {
		q.take(q, payload)
		return
	}
}

func (s *surveyor) takeInfo(_ question, query *stanza.Element) {
	for el := range query.Children() {
		category, typ := el.Attr("category"), el.Attr("type")
		switch {
		case el.Is(stanza.NSDisco, "feature"):
			s.takeFeature(el.Attr("var"))
		case !el.Is(stanza.NSDisco, "identity"):
		case category == "pubsub" && typ == "pep":
			s.found.PEP = true
		}
	}
}

func (s *surveyor) takeFeature(name string) {
	for ns, has := range map[string]*bool{
		nsCarbons: &s.found.Carbons, stanza.NSMAM: &s.found.Archive, nsBlocking: &s.found.Blocking,
		nsVCard: &s.found.VCard, stanza.NSPing: &s.found.Ping,
	} {
		if name == ns {
			*has = true
		}
	}
}

// takeItems asks the components what they are, until it is known where rooms are.
func (s *surveyor) takeItems(_ question, query *stanza.Element) {
	var b []byte
	for el := range query.Children() {
		to := el.Attr("jid")
		if el.Is(stanza.NSItems, "item") && to != "" && el.Attr("node") == "" && s.last < maxComponents && !strings.Contains(to, "@") {
			b = s.ask(b, to, stanza.NSDisco, "query", func(q question, query *stanza.Element) {
				if s.found.Rooms == "" {
					s.takeRooms(q, query)
				}
			})
		}
	}
	_ = s.write(b) // a broken connection says so in next
}

// takeRooms is takeInfo for a component, whose features are not the server's.
func (s *surveyor) takeRooms(q question, query *stanza.Element) {
	for el := range query.Children() {
		if el.Is(stanza.NSDisco, "identity") && el.Attr("category") == "conference" && el.Attr("type") == "text" {
			s.found.Rooms = q.to
		}
	}
}

// takeTime compares the clocks: the server's against ours in the middle of
// the round trip.
//
// "<utc> … The UTC time … MUST adhere to the format specified in XMPP Date and
// Time Profiles". XEP-0202 §2
func (s *surveyor) takeTime(q question, answer *stanza.Element) {
	theirs, err := time.Parse(time.RFC3339, answer.Child(nsTime, "utc").Text())
	if err != nil {
		return
	}
	ours := time.Now()
	ours = ours.Add(-ours.Sub(q.at) / 2)
	s.found.HasTime, s.found.Ahead = true, theirs.Sub(ours)
}

// enable asks for stream management as the client does, to see what the
// server grants: some offer it without resumption.
func (s *surveyor) enable() error {
	ns := string(s.link.dialect)
	if err := s.write(fmt.Appendf(nil, "<enable xmlns='%s' resume='true'/>", ns)); err != nil {
		return err
	}
	for {
		el, err := s.next(s.cfg.NegotiateTimeout)
		if err != nil {
			return err
		}
		switch {
		case el.Is(ns, "enabled"):
			resume := el.Attr("resume")
			s.found.Resumable = resume == "true" || resume == "1"
			if n, err := strconv.ParseUint(el.Attr("max"), 10, 31); err == nil {
				s.found.ResumeMax = time.Duration(n) * time.Second
			}
			return nil
		case el.Is(ns, "failed"):
			return nil
		}
	}
}
