package xmppc2s_test

import (
	"testing"
	"time"

	"meshgate/xmppc2s"
)

const bindOnly = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"

// SM-01, SM-05, SM-06, SM-07: a server as the founding document (XEP-0198 v0.7)
// describes it, from the feature to a resumption that knows of nothing.
func TestAServerOfTheFoundingDocument(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.SM.RequestDelay = time.Hour // it is the server's wish that counts
	c := xmppc2s.New(cfg)
	h := run(t, c)
	const features = bindOnly + "<sm xmlns='urn:xmpp:sm:1' max='600' stanzas='3'><optional/></sm>"
	conn := s.accept()
	conn.login(features)
	conn.bound()
	conn.expect("<enable ", "xmlns='urn:xmpp:sm:1'", "resume='true'")
	conn.send("<enabled xmlns='urn:xmpp:sm:1' id='the-id' resume='true'/>")
	conn.expect("<iq", "jabber:iq:roster")
	conn.expect("<presence")
	h.await("online", isOnline)
	send(t, c, chat("bob@example.org", "third").WithAttr("id", "m3"))
	conn.expect("<message", "m3")
	conn.expect("<r ", "xmlns='urn:xmpp:sm:1'", "u='3'")
	conn.send("<r xmlns='urn:xmpp:sm:1' u='40' h='2'/>")
	conn.expect("<a ", "xmlns='urn:xmpp:sm:1'", "h='40'")

	conn.cut()
	conn = s.accept()
	conn.login(features)
	conn.expect("<resume ", "xmlns='urn:xmpp:sm:1'", "previd='the-id'", "h='40'")
	conn.send("<resumed xmlns='urn:xmpp:sm:1' previd='the-id'/>")
	conn.expect("<message", "m3") // not acknowledged, and nothing else: SM-08
	conn.send("<a xmlns='urn:xmpp:sm:1' h='3'/>")
	h.await("resumed", func(ev xmppc2s.Event) bool { on, ok := ev.(xmppc2s.Online); return ok && on.Resumed })
	conn.send("<r xmlns='urn:xmpp:sm:1' u='41'/>")
	conn.expect("<a ", "h='41'")
}

// SM-01
func TestTheFoundingDialectIsTheLastResort(t *testing.T) {
	for _, features := range []string{
		"<sm xmlns='urn:xmpp:sm:1' max='600'/><sm xmlns='urn:xmpp:sm:2'/>", "<sm xmlns='urn:xmpp:sm:2'/><sm xmlns='urn:xmpp:sm:1'/>",
	} {
		s := newFake(t)
		run(t, xmppc2s.New(s.config()))
		conn := s.accept()
		conn.login(bindOnly + features)
		conn.bound()
		conn.expect("<enable ", "urn:xmpp:sm:2")
	}
}

// SM-09: a server that resumes without saying how far it got does not know how:
// the next stream is bound afresh.
func TestAResumptionThatCannotBeReadIsNotTriedAgain(t *testing.T) {
	s := newFake(t)
	run(t, xmppc2s.New(s.config()))
	conn := s.accept()
	conn.fresh()
	conn.cut()
	conn = s.accept()
	conn.login(bindSM3)
	conn.expect("<resume ")
	conn.send("<resumed xmlns='urn:xmpp:sm:3' previd='the-id'/>")
	conn = s.accept()
	conn.fresh()
}

// SM-10, SM-11: a server that takes back what it has acknowledged gets a new
// session and there what it had not.
func TestAServerThatTakesAcknowledgementsBackGetsANewSession(t *testing.T) {
	s, c, _, conn := begin(t)
	send(t, c, chat("bob@example.org", "third").WithAttr("id", "m3"))
	conn.stanza("<message", "m3")
	conn.send("<a xmlns='urn:xmpp:sm:3' h='2'/><a xmlns='urn:xmpp:sm:3' h='1'/>")
	conn = s.accept()
	conn.fresh()
	conn.stanza("<message", "m3", "<delay")
}
