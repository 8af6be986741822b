package streams

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// logins are the further sessions of an account, at a server.
type logins struct {
	t      *testing.T
	server chan *stanza.Element // what goes out by them

	mu      sync.Mutex
	refuse  error  // what the server says to the next
	address string // that it gives them; "": as they wish
	made    int
	up      map[dsps.JID]*furtherSession
}

// A furtherSession is a Session.
type furtherSession struct {
	*logins
	addr dsps.JID
	in   chan *stanza.Element
	cut  chan error
	done chan struct{}
}

func (l *logins) login(_ context.Context, resource string) (Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return nil, l.refuse
	}
	addr := dsps.JID("gw@example.org/" + resource)
	if l.address != "" {
		addr = dsps.JID(l.address)
	}
	if l.up[addr] != nil {
		l.t.Errorf("%s is there twice", addr)
	}
	s := &furtherSession{l, addr, make(chan *stanza.Element, 10), make(chan error, 1), make(chan struct{})}
	l.made++
	l.up[addr] = s
	return s, nil
}

// answer sets how the server answers to the next logins.
func (l *logins) answer(refuse error, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse, l.address = refuse, address
}

// session is the one with that address.
func (l *logins) session(at dsps.JID) *furtherSession {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up[at] == nil {
		l.t.Fatalf("nobody is logged in as %s", at)
	}
	return l.up[at]
}

func (l *logins) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.up)
}

func (s *furtherSession) Address() string { return string(s.addr) }

func (s *furtherSession) Send(iq *stanza.Element) error {
	if iq.Attr("from") != string(s.addr) {
		s.t.Errorf("by %s goes out %s", s.addr, iq)
	}
	s.server <- iq
	return nil
}

func (s *furtherSession) Run(handle func(*stanza.Element) bool) error {
	defer close(s.done)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.up, s.addr)
	}()
	for {
		select {
		case iq := <-s.in:
			if !handle(iq) {
				s.t.Errorf("not taken: %s", iq)
			}
		case err := <-s.cut:
			return err
		}
	}
}

func (s *furtherSession) Close() {
	select {
	case s.cut <- errors.New("closed"):
	default:
	}
	<-s.done
}

// inBubble is a test in virtual time.
func inBubble(t *testing.T, sessions int, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t, func(cfg *Config) { cfg.Sessions, cfg.Server.Engine.Wait = sessions, time.Hour }))
	})
}

// create has dave's client create a stream, and returns where it is; "": it is refused.
func (w *world) create() dsps.JID {
	w.t.Helper()
	w.contact("dave@example.org/x", "get", "<query type='create'/>")
	got := w.next(w.server)
	if got.Attr("type") == "error" {
		if code(got) != "405" {
			w.t.Errorf("refused with %s", got)
		}
		return ""
	}
	return dsps.JID(got.Attr("from"))
}

// who asks for dave's stream there.
func (w *world) who(at dsps.JID) {
	w.t.Helper()
	w.contactAt(at, "dave@example.org/x", "get", "<query type='who'/>")
	if got := w.next(w.server); got.Attr("from") != string(at) || query(got).Child(dsps.NS, "peer").Text() != "dave@example.org/x" {
		w.t.Errorf("at %s there is %s", at, got)
	}
}

// leave ends dave's stream there.
func (w *world) leave(at dsps.JID) {
	w.t.Helper()
	w.contactAt(at, "dave@example.org/x", "set", "<query type='admin'><peer type='drop'>dave@example.org/x</peer></query>")
	for range 2 { // that it is dropped, and the answer
		w.next(w.server)
	}
	synctest.Wait()
}

// DS-03, DS-05: a contact's client has a stream at each address of the account's, of
// which there are as many as are wanted and may be.
func TestFurtherStreamsHaveFurtherSessions(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, w *world) {
		first, second, third := w.create(), w.create(), w.create()
		if first != gateway || second == first || third == second || !strings.HasPrefix(string(third), gateway+"-") {
			t.Fatalf("at %s, %s and %s", first, second, third)
		}
		if at := w.create(); at != "" {
			t.Errorf("one too many at %s", at)
		}
		for _, at := range []dsps.JID{first, second, third} {
			w.who(at)
		}
		w.contact("alice@example.org/low", "get", "<query type='create'/>")
		w.next(w.server)
		w.contact("alice@example.org/low", "get", "<query type='create'/>")
		if at := dsps.JID(w.next(w.server).Attr("from")); at != second {
			t.Errorf("another's second stream is at %s", at)
		}
		w.leave(third)
		time.Sleep(linger - time.Second)
		if n := w.count(); n != 2 {
			t.Errorf("%d sessions", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := w.count(); n != 1 || w.Sessions().Active != 1 {
			t.Errorf("%d sessions, %+v", n, w.Sessions())
		}
		w.who(second)
		if at := w.create(); at == third || at == "" {
			t.Errorf("the next one is at %s", at)
		}
	})
}

// Somebody who is on a stream takes part in another, and the session for that is
// used again before it ends.
func TestAnInvitationToASecondStream(t *testing.T) { // DS-08
	inBubble(t, 1, func(t *testing.T, w *world) {
		w.create()
		for range 2 {
			w.peer("bob@h2", own, "get", "<query type='create'/>")
			at := w.next(w.lan).Attr("from")
			w.peer("bob@h2", at, "set", "<query type='admin'><peer type='slave'>dave@example.org/x</peer></query>")
			w.next(w.lan)
			invitation := w.next(w.server)
			answer := w.iq("result", "dave@example.org/x", gateway, "<query type='acknowledge' status='connect'/>").WithAttr("id", invitation.Attr("id"))
			w.Network().HandleIQ(jid.MustParse(gateway), answer)
			got := w.next(w.server)
			if got.Attr("from") == gateway || got.Attr("id") != answer.Attr("id") || query(got).Attr("type") != "create" {
				t.Fatalf("dave is told %s", got)
			}
			w.contactAt(dsps.JID(got.Attr("from")), "dave@example.org/x", "set", "<query type='admin'><peer type='drop'>dave@example.org/x</peer></query>")
			w.next(w.server)
			w.next(w.server)
			w.next(w.lan)
		}
		if w.made != 1 {
			t.Errorf("%d logins", w.made)
		}
	})
}

// DS-05: a further session that is cut comes back with its address, where the
// streams still are, and says what was to be said.
func TestASessionThatIsCutComesBack(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, w *world) {
		w.create()
		at := w.create()
		w.answer(errors.New("not now"), "")
		w.session(at).cut <- errors.New("cut")
		time.Sleep(10 * time.Second)
		w.answer(nil, "gw@example.org/other") // the server has not noticed that the old one is gone
		time.Sleep(20 * time.Second)
		w.contact("dave@example.org/x", "set", "<query type='admin'><peer type='drop'>dave@example.org/x</peer></query>")
		w.next(w.server)
		w.next(w.server)
		w.answer(nil, "")
		time.Sleep(time.Minute)
		w.who(at)
		if st := w.Sessions(); st.Lost != 0 || st.Active != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnAddressIsLostInTheEnd(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, w *world) {
		w.create()
		w.session(w.create()).cut <- errors.New("cut")
		w.answer(errors.New("not now"), "")
		time.Sleep(lostAfter + 2*lastPause)
		if st := w.Sessions(); st.Lost != 1 || st.Active != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// What the server takes away for another session is not taken back, and no other
// one is tried for a while.
func TestASessionThatIsThrownOutStaysOut(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, w *world) {
		w.create()
		w.session(w.create()).cut <- &xmppc2s.Error{Problem: xmppc2s.Conflict}
		synctest.Wait()
		if st := w.Sessions(); st.Lost != 1 || st.Active != 0 || w.create() != "" {
			t.Errorf("%+v", st)
		}
		w.who(gateway)
		time.Sleep(conflictPause)
		if w.create() == "" {
			t.Error("never again")
		}
	})
}

// The gateway's own session is worth more: if that is thrown out, and there was a
// login lately, the others end for it.
func TestTheGatewaysOwnSessionIsNotThrownOutForOthers(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, w *world) {
		w.create()
		at := w.create()
		lost := xmppc2s.Offline{Err: &xmppc2s.Error{Problem: xmppc2s.Conflict}}
		time.Sleep(suspicion + time.Second)
		w.HandleServer(lost)
		w.who(at)
		w.create() // and with it a login
		w.HandleServer(xmppc2s.Offline{Err: &xmppc2s.Error{Problem: xmppc2s.StreamEnded}})
		w.who(at)
		w.HandleServer(lost)
		if n := <-w.over; n != 0 {
			t.Errorf("%d sessions are still there", n)
		}
		w.HandleServer(xmppc2s.Online{JID: jid.MustParse(gateway)})
		if w.create() != "" {
			t.Error("another one was tried")
		}
		if st := w.Sessions(); st.Active != 0 || st.Lost != 2 {
			t.Errorf("%+v", st)
		}
		w.who(gateway)
		w.HandleServer(lost)
		synctest.Wait()
		select {
		case <-w.over:
			t.Error("a conflict that comes again is taken for ours")
		default:
		}
		w.HandleServer(xmppc2s.Online{JID: jid.MustParse("gw@example.org/other")})
		synctest.Wait()
		if st := w.Sessions(); st.Active != 0 || st.Lost != 3 {
			t.Errorf("one was tried to keep an address: %+v", st)
		}
	})
}

func TestARefusedSessionIsNotTriedAtOnce(t *testing.T) { // DS-02: 405
	inBubble(t, 2, func(t *testing.T, w *world) {
		w.create()
		w.answer(errors.New("resource-constraint"), "")
		if at := w.create(); at != "" {
			t.Errorf("at %s", at)
		}
		w.answer(nil, "")
		if at := w.create(); at != "" {
			t.Errorf("at %s", at)
		}
		time.Sleep(refusedPause)
		if w.create() == "" {
			t.Error("never again")
		}
	})
}

// If the gateway's own session gets another address, a further session has the old
// one: who is on a stream there still is. What is asked at the new one finds the
// service.
func TestTheOldAddressOfTheGatewayIsKept(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, w *world) {
		old := w.create()
		w.HandleServer(xmppc2s.Online{JID: jid.MustParse("gw@example.org/other")})
		synctest.Wait()
		w.who(old)
		w.contactAt("gw@example.org/other", "dave@example.org/x", "get", "<query type='create'/>")
		if got := w.next(w.server); got.Attr("from") != "gw@example.org/other" {
			t.Errorf("the next stream: %s", got)
		}
		// and back: the server ends what was there
		w.HandleServer(xmppc2s.Online{JID: jid.MustParse(gateway)})
		synctest.Wait()
		w.who(old)
		w.who("gw@example.org/other")
		if st := w.Sessions(); st.Lost != 0 || st.Active != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestNothingIsSentByAnAddressThatIsGone(t *testing.T) {
	w := newWorld(t, nil)
	w.create()
	w.HandleServer(xmppc2s.Online{JID: jid.MustParse("gw@example.org/other")})
	if err := w.account.send(w.iq("get", gateway, "dave@example.org/x", "<query/>"), nil); !errors.Is(err, errNoAddress) {
		t.Errorf("%v", err)
	}
	if st := w.Sessions(); st.Lost != 1 {
		t.Errorf("%+v", st)
	}
	if !w.addresses.Lost(gateway) || w.addresses.Lost("gw@example.org/other") {
		t.Error("lost is another one")
	}
}

// DS-13: a public stream is joined from both sides, wherever it was created.
func TestPublicStreamsAreJoinedFromBothSides(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, w *world) {
		w.peer("bob@h2", own, "get", "<query type='create' maxpublic='3'/>")
		w.next(w.lan)
		w.contact("dave@example.org/x", "get", "<query type='create' maxpublic='3'/>")
		if got := w.next(w.server); got.Attr("type") != "result" {
			t.Fatalf("%s", got)
		}
		doors := func(answer *stanza.Element) (list []dsps.JID) {
			for q := range answer.Children() {
				list = append(list, dsps.JID(q.Child(dsps.NS, "peer").Text()))
			}
			return list
		}
		w.contact("alice@example.org/low", "get", "<query type='stats'/>")
		net := doors(w.next(w.server))
		w.peer("eva@h2", own, "get", "<query type='stats'/>")
		lan := doors(w.next(w.lan))
		if len(net) != 2 || len(lan) != 2 {
			t.Fatalf("listed are %q and %q", net, lan)
		}
		for i := range 2 {
			w.contactAt(net[i], "alice@example.org/low", "result", "<query type='acknowledge' status='connect'/>")
			if got := w.next(w.server); query(got).Attr("type") != "create" {
				t.Errorf("joining %s: %s", net[i], got)
			}
			w.peer("eva@h2", string(lan[i]), "result", "<query type='acknowledge' status='connect'/>")
			if got := w.next(w.lan); query(got).Attr("type") != "create" {
				t.Errorf("joining %s: %s", lan[i], got)
			}
		}
	})
}

// If the gateway has another name on the LAN, streams are found by it and by the
// old one, and public ones listed with it.
func TestStreamsAreFoundByTheNewName(t *testing.T) {
	w := newWorld(t, nil)
	w.peer("bob@h2", own, "get", "<query type='create' maxpublic='3'/>")
	at := dsps.JID(w.next(w.lan).Attr("from"))
	const renamed = "meshgate1@gw"
	w.HandleLAN(publishedAs(renamed))
	for _, name := range []dsps.JID{own, renamed} {
		w.peer("bob@h2", string(withResource(name, at.Resource())), "get", "<query type='stats'/>")
		if got := w.next(w.lan); !strings.HasPrefix(query(got).Child(dsps.NS, "publicid").Text(), renamed+"/") {
			t.Errorf("at %s: %s", name, got)
		}
	}
	w.peer("eva@h2", renamed, "get", "<query type='stats'/>")
	public := query(w.next(w.lan)).Child(dsps.NS, "peer").Text()
	w.peer("eva@h2", public, "result", "<query type='acknowledge' status='connect'/>")
	if got := w.next(w.lan); !strings.HasPrefix(public, renamed+"/") || !strings.HasPrefix(got.Attr("from"), renamed+"/") {
		t.Errorf("joined at %s: %s", public, got)
	}
}
