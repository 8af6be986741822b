package xmppc2s

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A link is a connection on which a session is bound or resumed.
type link struct {
	conn    *byteConn
	raw     net.Conn // below TLS: closing it never waits
	addr    string
	place   target
	jid     string
	resumed bool
	h       *uint64       // of <resumed/>
	dialect sm.Dialect    // of a bound session
	stanzas int           // what the feature of sm:1 wishes …
	max     time.Duration // … and grants
	prosody bool
	limits  sm.Limits // as far as the server says
	tls     tls.ConnectionState
}

// A verdict is what came out of an attempt to get a link.
type verdict struct {
	link    *link
	asked   *sm.Resumption // what was to be resumed
	refused bool           // the server will not resume it …
	failedH *uint64        // … but has handled this much
	err     error
}

// A connector gets links. Its method connect runs in a goroutine of its own,
// one at a time.
type connector struct {
	cfg   *Config
	dns   resolver
	cache tls.ClientSessionCache
}

// connect tries the targets until one gives a link, a verdict about the
// session or a reason why none will.
//
// sent is a redirection by which the last connection has ended.
func (c *connector) connect(ctx context.Context, resume *sm.Resumption, hint string, sent *redirection) verdict {
	v := verdict{asked: resume}
	list, err := targets(ctx, c.cfg, c.dns, hint)
	if err != nil {
		v.err = explain(err, c.cfg, c.cfg.JID.Domain().String())
		return v
	}
	r := course{ahead: list}
	if sent != nil {
		c.cfg.Log.Info("the server has sent us on", "from", sent.from.addr, "err", c.redirect(ctx, &r, sent.from, sent.err))
	}
	for t, ok := r.next(); ok; t, ok = r.next() {
		err := c.try(ctx, t, &v)
		if err == nil {
			v.err = nil
			return v
		}
		e := c.redirect(ctx, &r, t, explain(err, c.cfg, t.addr))
		if e.resetsTLS() {
			c.forgetTLS()
		}
		v.err = e
		c.cfg.Log.Debug("no session at this address", "addr", t.addr, "err", v.err)
		final := Fatal(v.err) && !t.hinted // a place that was right once may be anybody's now
		if final || v.refused || ctx.Err() != nil {
			break
		}
	}
	return v
}

// forgetTLS makes the next connection begin with a whole handshake.
func (c *connector) forgetTLS() { c.cache = tls.NewLRUClientSessionCache(0) }

// try negotiates with one target, within NegotiateTimeout.
func (c *connector) try(ctx context.Context, t target, v *verdict) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.NegotiateTimeout)
	defer cancel()
	tcp, err := dial(ctx, c.cfg, t)
	if err != nil {
		return err
	}
	// mellium's own deadlines do not end what is blocked: closing does.
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.DeadlineExceeded
		}
		if err != nil {
			tcp.Close()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = fmt.Errorf("%w (%w)", context.DeadlineExceeded, err)
			}
		}
	}()
	n := negotiation{cfg: c.cfg, verdict: v, link: &link{addr: t.addr, place: t, raw: tcp}}
	if err := n.run(ctx, c, tcp, t.directTLS); err != nil {
		return err
	}
	tcp.unmeter()
	v.link = n.link
	return nil
}

// A negotiation is one inner session: a mellium session that is thrown away
// when the stream is ready, and whose connection is then read by others.
type negotiation struct {
	cfg     *Config
	verdict *verdict
	link    *link
	offered []string // SASL mechanisms
}

func (n *negotiation) run(ctx context.Context, c *connector, tcp net.Conn, directTLS bool) error {
	domain, err := asciiDomain(n.cfg)
	if err != nil {
		return err
	}
	secure := tlsConfig(n.cfg, domain, c.cache)
	conn, state := tcp, xmpp.SessionState(0)
	if directTLS {
		conn, state = tls.Client(tcp, directTLSConfig(secure)), xmpp.Secure
	}
	s, err := xmpp.NewSession(ctx, n.cfg.JID.Domain(), n.cfg.JID.Bare(), conn, state,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: n.features(secure)}
		}))
	return n.judge(s, err)
}

// judge makes sure that what mellium calls ready is what we need, and finds
// better words for some of its errors.
func (n *negotiation) judge(s *xmpp.Session, err error) error {
	if err == nil && n.link.conn != nil && n.link.jid != "" {
		n.link.tls = n.link.conn.ConnectionState()
		if n.link.tls.Version == 0 && !n.cfg.InsecureNoTLS {
			return errors.New("negotiation ended without TLS")
		}
		return nil
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return err
	}
	if s != nil && s.State()&xmpp.Secure == 0 && !n.cfg.InsecureNoTLS && len(n.offered) > 0 {
		if _, ok := s.Feature(stanza.NSTLS); !ok {
			return &Error{Problem: NoEncryption, Err: err, Text: "the server offers no encryption (STARTTLS), and without it nobody logs in"}
		}
	}
	if n.link.conn == nil && len(n.offered) > 0 && !n.acceptable() {
		return n.noMechanism(err)
	}
	if err == nil {
		err = errors.New("the server has neither logged us in nor said why")
	}
	return err
}

func (n *negotiation) acceptable() bool {
	for _, m := range n.mechanisms() {
		if slices.Contains(n.offered, m.Name) {
			return true
		}
	}
	return false
}

func (n *negotiation) noMechanism(err error) error {
	text := fmt.Sprintf("no way to log in: the server offers only %s", strings.Join(n.offered, ", "))
	if slices.Contains(n.offered, "PLAIN") && !n.cfg.AllowPlainAuth {
		text += "; allow_plain_auth would send it the password itself"
	}
	return &Error{Problem: NoMechanism, Text: text, Err: err}
}

// mechanisms are what we log in with, best first. The PLUS variants are left
// out: COMPAT ejabberd 23.01 offers them over TLS 1.3 and then refuses the
// channel binding.
func (n *negotiation) mechanisms() []sasl.Mechanism {
	list := []sasl.Mechanism{sasl.ScramSha256, sasl.ScramSha1}
	if n.cfg.AllowPlainAuth && !n.cfg.InsecureNoTLS {
		list = append(list, sasl.Plain)
	}
	return list
}

func (n *negotiation) features(secure *tls.Config) []xmpp.StreamFeature {
	list := []xmpp.StreamFeature{n.login(), n.bindOrResume(), n.capabilities(), n.legacyManagement(), n.limits()}
	if n.cfg.InsecureNoTLS {
		return list
	}
	start := xmpp.StartTLS(secure)
	parse := start.Parse
	start.Parse = func(ctx context.Context, d *xml.Decoder, e *xml.StartElement) (bool, any, error) {
		_, data, err := parse(ctx, d, e)
		return true, data, err // whatever the server thinks: for us it is required
	}
	return append(list, start)
}

// prepared is a password as SASL wants it, whichever way a keyboard or an
// editor has composed its letters and blanks.
//
// "the client MUST prepare the password using the SASLprep profile" RFC 5802
// §5.1. Of SASLprep (RFC 4013) this is the normalization; characters that it
// prohibits are left to the server to refuse.
func prepared(password string) string { return norm.NFKC.String(password) }

// login is SASL. When it is through, the connection is wrapped, so that what
// comes after the negotiation can be read by others.
func (n *negotiation) login() xmpp.StreamFeature {
	f := xmpp.SASL("", prepared(n.cfg.Password), n.mechanisms()...)
	if n.cfg.InsecureNoTLS {
		f.Necessary = 0
	}
	parse, negotiate := f.Parse, f.Negotiate
	f.Parse = func(ctx context.Context, d *xml.Decoder, e *xml.StartElement) (bool, any, error) {
		req, data, err := parse(ctx, d, e)
		n.offered, _ = data.([]string)
		return req, data, err
	}
	f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		mask, rw, err := negotiate(ctx, s, data)
		if err == nil && mask&xmpp.Authn != 0 {
			n.link.conn, n.link.limits = newByteConn(s.Conn()), sm.Limits{}
			rw = n.link.conn
		}
		return mask, rw, err
	}
	return f
}

// capabilities looks at who the server says it is (XEP-0115 §7); nothing is
// negotiated.
func (n *negotiation) capabilities() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: stanza.NSCaps, Local: "c"},
		Parse: func(_ context.Context, d *xml.Decoder, e *xml.StartElement) (bool, any, error) {
			for _, a := range e.Attr {
				if a.Name.Local == "node" {
					n.link.prosody = strings.HasPrefix(a.Value, "http://prosody.im")
				}
			}
			return false, nil, d.Skip()
		},
	}
}

// legacyManagement reads the feature of XEP-0198 v0.7, which says more than
// that it is there; it is enabled by others.
func (n *negotiation) legacyManagement() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: stanza.NSSM1, Local: "sm"},
		Parse: func(_ context.Context, d *xml.Decoder, e *xml.StartElement) (bool, any, error) {
			for _, a := range e.Attr {
				v, err := strconv.ParseUint(a.Value, 10, 31)
				switch {
				case err != nil:
				case a.Name.Local == "stanzas":
					n.link.stanzas = int(v)
				case a.Name.Local == "max":
					n.link.max = time.Duration(v) * time.Second
				}
			}
			return false, nil, d.Skip()
		},
	}
}

// bindOrResume takes the place of mellium's resource binding. It is one
// feature because mellium selects binding after any other feature, and it has
// a binding of its own because mellium's never asks for a resource.
func (n *negotiation) bindOrResume() xmpp.StreamFeature {
	f := xmpp.BindResource() // its name, conditions and parser
	f.Negotiate = func(ctx context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
		r := s.TokenReader()
		defer r.Close()
		offered := func(ns string) bool { _, ok := s.Feature(ns); return ok }
		n.link.dialect = sm.Newest(offered)
		if ask := n.verdict.asked; ask != nil && !n.verdict.refused && offered(string(ask.Dialect)) {
			if done, err := n.resume(ctx, s, r, *ask); done || err != nil {
				return xmpp.Ready, nil, err
			}
		}
		return xmpp.Ready, nil, n.bind(s, r)
	}
	return f
}

// resume asks for the old session. It reports false if a new one is to be
// bound, on the same stream (XEP-0198 §5).
//
// COMPAT ejabberd 23.01: while another connection resumes the session it goes on
// with what it has read of the last one, and does not count that, so that we
// would send it again. Prosody does one thing at a time.
func (n *negotiation) resume(ctx context.Context, s *xmpp.Session, r xml.TokenReader, ask sm.Resumption) (bool, error) {
	if !n.link.prosody {
		if err := pauseUntil(ctx, ask.NotBefore); err != nil {
			return false, err
		}
	}
	if _, err := s.Conn().Write(ask.AppendResume(nil)); err != nil {
		return false, err
	}
	answer, err := n.read(r)
	if err != nil {
		return false, err
	}
	a, err := ask.ParseAnswer(answer)
	if !a.Resumed {
		n.verdict.refused, n.verdict.failedH = true, a.H
		return false, err
	}
	n.link.resumed, n.link.jid, n.link.h = true, ask.JID, a.H
	return true, nil
}

func pauseUntil(ctx context.Context, at time.Time) error {
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bind asks for our resource. RFC 6120 §7.7
func (n *negotiation) bind(s *xmpp.Session, r xml.TokenReader) error {
	const id = "bind-1"
	req := stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: "set"}, stanza.Attr{Name: "id", Value: id},
		stanza.New(stanza.NSBind, "bind", stanza.New(stanza.NSBind, "resource", stanza.Text(n.cfg.resource()))))
	if _, err := s.Conn().Write(stanza.Append(nil, req, stanza.NSClient)); err != nil {
		return err
	}
	answer, err := n.read(r)
	if err != nil {
		return err
	}
	if !answer.Is(stanza.NSClient, "iq") || answer.Attr("id") != id || answer.Attr("type") != "result" {
		return n.notBound(stanza.ParseError(answer))
	}
	full, err := jid.Parse(answer.Child(stanza.NSBind, "bind").Child(stanza.NSBind, "jid").Text())
	if err != nil || full.Resourcepart() == "" {
		return fmt.Errorf("the server binds %q: %w", full, errors.Join(err, errors.New("not a full address")))
	}
	n.link.jid = full.String()
	return nil
}

// notBound words what a server has against a session of ours. Some refuse the
// resource of a session that is still there, rather than to end that.
// RFC 6120 §7.7.2.2
func (n *negotiation) notBound(why error) error {
	if e, ok := errors.AsType[*stanza.Error](why); ok && e.Condition == "conflict" {
		return streamError{condition: "conflict"}.problem(n.cfg)
	}
	return fmt.Errorf("the server binds no session: %w", why)
}

// read returns the next element of the stream; a stream error is an error.
func (n *negotiation) read(r xml.TokenReader) (*stanza.Element, error) {
	for {
		tok, err := r.Token()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		el, err := stanza.Decode(r, start.Copy(), n.cfg.Limits)
		if err == nil && el.Is(stanza.NSStream, "error") {
			return nil, parseStreamError(el, n.cfg)
		}
		return el, err
	}
}
