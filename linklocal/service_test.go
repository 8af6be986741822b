package linklocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// twoNodes are two Services on one LAN that know each other.
func twoNodes(t testing.TB, cfg Config) (a, b *node) {
	lan := new(fakeLAN)
	a = start(t, lan.host("127.0.0.2"), "juliet", cfg)
	b = start(t, lan.host("127.0.0.3"), "romeo", cfg)
	// Both have the same machine part, but not the same name.
	a.waitPeer(t, b.name)
	b.waitPeer(t, a.name)
	return a, b
}

func TestTwoServicesTalkBothWays(t *testing.T) {
	a, b := twoNodes(t, Config{})
	if err := verdict(t, a.send(b.name, "art thou not Romeo?")); err != nil {
		t.Fatal(err)
	}
	got := b.waitBody(t, "art thou not Romeo?")
	if got.To != "c" || got.From != a.name {
		t.Errorf("received %v from %q", got.To, got.From)
	}
	// LL-13
	if got.Stanza.Attr("to") != string(b.name) || got.Stanza.Attr("from") != string(a.name) {
		t.Errorf("addresses of %v", got.Stanza)
	}
	if err := verdict(t, b.send(a.name, "neither")); err != nil {
		t.Fatal(err)
	}
	a.waitBody(t, "neither")
	if n := b.Stats().StreamsOut; n != 0 {
		t.Errorf("the answer opened a stream of its own")
	}
}

func TestMessagesOfAPeerComeAfterItsAppearance(t *testing.T) {
	a, b := twoNodes(t, Config{})
	for i := range 50 {
		a.send(b.name, fmt.Sprint(i))
	}
	b.waitBody(t, "49")
	events, _ := b.all()
	known := false
	for _, ev := range events {
		switch ev := ev.(type) {
		case PeerAppeared:
			known = known || ev.Peer.Instance == a.name
		case Received:
			if !known {
				t.Fatal("message of a peer that the handler has not heard of")
			}
		}
	}
	want := []string{}
	for i := range 50 {
		want = append(want, fmt.Sprint(i))
	}
	if diff := cmp.Diff(want, b.bodies()); diff != "" {
		t.Errorf("order of messages: %s", diff)
	}
}

// rawTalk is a node, and romeo@h3 that has called it.
func rawTalk(t testing.TB, cfg Config) (*node, *rawPeer) {
	t.Helper()
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", cfg)
	lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
	n.waitPeer(t, "romeo@h3")
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s", headerFrom("romeo@h3", string(n.name)))
	p.until("to='romeo@h3'>")
	return n, p
}

func TestStanzaIsRetriedWhenThePeerClosesBeforeItsHeader(t *testing.T) {
	n, ln := rawCallee(t, Config{News: time.Nanosecond})
	done := n.send("romeo@h3", "hail")
	answer(t, ln).Close()
	second := answer(t, ln)
	second.say("%s", oldHeader)
	second.until("<body>hail</body></message>")
	if err := verdict(t, done); err != nil {
		t.Error(err)
	}
	second.say(endTag)
	second.until(endTag)
	second.rest() // now the Service has closed it, too

	done = n.send("romeo@h3", "again")
	for range 2 {
		answer(t, ln).Close()
	}
	if err := verdict(t, done); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after two broken streams: %v", err)
	}
}

// COMPAT libpurple 2.14: it closes connections from an address of which it has
// no contact yet, before it reads.
func TestAPeerThatDoesNotKnowUsYetIsCalledAgain(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	done := n.send("romeo@h3", "hail")
	for range 3 { // one more than when everybody is known
		p := answer(t, ln)
		p.Conn.(*net.TCPConn).SetLinger(0) // a reset
		p.Close()
	}
	p := answer(t, ln)
	p.say("%s", oldHeader)
	p.until("<body>hail</body></message>")
	if err := verdict(t, done); err != nil {
		t.Error(err)
	}
}

// COMPAT libpurple 2.14: what it is told before it has heard of a contact, it
// drops in silence.
func TestAPeerIsNotCalledBeforeItCanKnowTheContact(t *testing.T) {
	const settle = 300 * time.Millisecond
	n, ln := rawCallee(t, Config{Settle: settle})
	done := n.send("romeo@h3", "hail")
	p := answer(t, ln)
	called := time.Now()
	p.say("%s", oldHeader)
	p.until("<body>hail</body></message>")
	if err := verdict(t, done); err != nil {
		t.Error(err)
	}
	known, err := n.Peers(t.Context())
	if err != nil || len(known) != 2 {
		t.Fatalf("%v, %v, want one of ours and a peer", known, err)
	}
	for _, who := range known {
		if early := who.Since.Add(settle).Sub(called); early > 0 {
			t.Errorf("called %v too early for %s", early, who.Instance)
		}
	}
}

func TestAPeerThatIsNewAndBreaksStreamsIsGivenUp(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	done := n.send("romeo@h3", "hail")
	for range 2 {
		p := answer(t, ln)
		p.say("<")
		p.until("<") // else it might as well have said nothing
		p.Close()
	}
	if err := verdict(t, done); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after two broken streams: %v", err)
	}
}

func TestStreamThatThePeerClosedIsNotWrittenTo(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	for i := range 20 {
		done := n.send("romeo@h3", fmt.Sprint(i))
		p := answer(t, ln)
		p.say("%s", oldHeader)
		p.until("</message>")
		if err := verdict(t, done); err != nil {
			t.Fatal(err)
		}
		p.say(endTag) // LL-14: and closes without waiting, as libpurple does
		p.until(endTag)
		p.Close()
	}
}

func TestSendSaysWhyItFailed(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{MaxStanza: 2000})
	h := lan.host("127.0.0.3")
	h.peer(t, "deaf@h3", 1) // nobody listens
	n.waitPeer(t, "deaf@h3")
	wantErr := func(why string, want error, o Outgoing) {
		t.Helper()
		done := make(chan error, 1)
		o.Done = func(err error) { done <- err }
		if err := verdict(t, done_(n, o, done)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", why, err, want)
		}
	}
	wantErr("unknown peer", ErrNoPeer, Outgoing{From: "c", To: "nobody@h9", Stanza: message("x")})
	wantErr("unknown contact", ErrNoContact, Outgoing{From: "z", To: "deaf@h3", Stanza: message("x")})
	wantErr("connection refused", ErrUnreachable, Outgoing{From: "c", To: "deaf@h3", Stanza: message("x")})
	wantErr("open only", ErrNotOpen, Outgoing{From: "c", To: "deaf@h3", Stanza: message("x"), OpenOnly: true})
	wantErr("too large", ErrTooLarge, Outgoing{From: "c", To: "deaf@h3", Stanza: message(strings.Repeat("x", 2000))})
	n.stop()
	wantErr("after Run", ErrStopped, Outgoing{From: "c", To: "deaf@h3", Stanza: message("x")})
	n.HandleMDNS(mdns.Vanished{Instance: "deaf@h3", Type: serviceType})
	if n.Stats().SendsFailed != 6 {
		t.Errorf("stats: %+v", n.Stats())
	}
}

func done_(n *node, o Outgoing, done <-chan error) <-chan error { n.Send(o); return done }

func TestQueueOfAPeerIsBounded(t *testing.T) {
	n, _ := rawCallee(t, Config{QueuePerPeer: 5, CloseTimeout: time.Second}) // accepts in the kernel and never speaks
	var waiting []<-chan error
	for range 5 {
		waiting = append(waiting, n.send("romeo@h3", "x"))
	}
	if err := verdict(t, n.send("romeo@h3", "x")); !errors.Is(err, ErrQueueFull) {
		t.Errorf("sixth stanza: %v", err)
	}
	n.stop()
	for _, w := range waiting {
		if err := verdict(t, w); !errors.Is(err, ErrStopped) {
			t.Errorf("stanza that waited at the end: %v", err)
		}
	}
}

func TestPeerThatNeverAnswersTheHeaderFailsTheSend(t *testing.T) {
	n, _ := rawCallee(t, Config{HeaderTimeout: 50 * time.Millisecond, CloseTimeout: 50 * time.Millisecond})
	if err := verdict(t, n.send("romeo@h3", "x")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Done: %v", err)
	}
}

func TestSlowReaderIsCutOffAndTheSenderTold(t *testing.T) {
	n, p := rawTalk(t, Config{WriteTimeout: 100 * time.Millisecond, QueuePerPeer: 1000})
	p.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(4096)
	big := strings.Repeat("x", 60<<10)
	var verdicts []<-chan error
	for range 200 {
		verdicts = append(verdicts, n.send("romeo@h3", big))
	}
	slow := 0
	for _, v := range verdicts {
		if err := verdict(t, v); errors.Is(err, ErrSlow) {
			slow++
		} else if err != nil && !errors.Is(err, ErrUnreachable) { // sent after the cut
			t.Fatalf("Done: %v", err)
		}
	}
	if slow == 0 {
		t.Error("12 MB were written to a peer that does not read")
	}
	if n.Stats().SlowClosed == 0 {
		t.Error("not counted")
	}
}

func TestHostilePeerDoesNotDelayOthers(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{StanzaRate: 5, MaxStreamsPerAddr: 8, CloseTimeout: 100 * time.Millisecond})
	lan.host("127.0.0.3").peer(t, "mallory@h3", 1)
	lan.host("127.0.0.4").peer(t, "romeo@h4", 1)
	n.waitPeer(t, "romeo@h4")
	n.waitPeer(t, "mallory@h3")
	for range 6 { // floods
		m := call(t, "127.0.0.3", n.addr)
		m.say("%s", headerFrom("mallory@h3", ""))
		go func() {
			flood := []byte(strings.Repeat("<message><body>buy</body></message>", 1000))
			for {
				if _, err := m.Write(flood); err != nil {
					return
				}
			}
		}()
	}
	for range 20 { // more than an address may have
		call(t, "127.0.0.3", n.addr)
	}
	p := call(t, "127.0.0.4", n.addr)
	p.say("%s<message><body>hello</body></message>", headerFrom("romeo@h4", ""))
	n.waitBody(t, "hello")
	if n.Stats().OverLimit == 0 {
		t.Error("no connection was refused")
	}
}

func TestABlockedHandlerStopsOneStreamOnly(t *testing.T) {
	lan := new(fakeLAN)
	release := make(chan struct{})
	n := start(t, lan.host("127.0.0.2"), "", Config{})
	n.block = func(ctx context.Context, ev Event) {
		if m, ok := ev.(Received); ok && m.From == "slow@h3" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	n.name, n.addr = n.publish(t, "c", "juliet")
	lan.host("127.0.0.3").peer(t, "slow@h3", 1)
	lan.host("127.0.0.4").peer(t, "romeo@h4", 1)
	n.waitPeer(t, "slow@h3")
	n.waitPeer(t, "romeo@h4")
	a, b := call(t, "127.0.0.3", n.addr), call(t, "127.0.0.4", n.addr)
	a.say("%s<message><body>1</body></message>", headerFrom("slow@h3", ""))
	a.until(">")
	a.until(">")
	b.say("%s<message><body>2</body></message>", headerFrom("romeo@h4", ""))
	n.waitBody(t, "2")
	// Even to the peer whose message is stuck we can speak.
	if err := verdict(t, n.send("slow@h3", "patience")); err != nil {
		t.Error(err)
	}
	a.until("<body>patience</body></message>")
	close(release)
	n.waitBody(t, "1")
}

func TestOfflineStartsWithAGoodbyeAndEndTags(t *testing.T) {
	n, p := rawTalk(t, Config{})
	go n.stop()
	p.until(endTag) // LL-14
	p.say("<message><body>wait</body></message>" + endTag)
	if got := p.rest(); got != "" {
		t.Errorf("behind the end tag: %q", got)
	}
	n.stop()
	n.waitBody(t, "wait")
	n.dns.lan.mu.Lock()
	defer n.dns.lan.mu.Unlock()
	if len(n.dns.services) != 0 { // LL-11
		t.Errorf("still published: %v", n.dns.services)
	}
}

func TestRunEndsInTimeWhenAPeerDoesNotAnswerTheEnd(t *testing.T) {
	n, _ := rawTalk(t, Config{CloseTimeout: 50 * time.Millisecond})
	n.stop()
}

func TestWithdrawnContactHasNoStreamsAndNoPort(t *testing.T) {
	n, p := rawTalk(t, Config{})
	n.Withdraw("c")
	p.until(endTag)
	if err := verdict(t, n.send("romeo@h3", "x")); !errors.Is(err, ErrNoContact) {
		t.Errorf("Send: %v", err)
	}
}

func TestStreamsOfAVanishedPeerAreEnded(t *testing.T) {
	n, p := rawTalk(t, Config{})
	n.HandleMDNS(mdns.Vanished{Instance: "ROMEO@h3", Type: serviceType})
	p.until(endTag)
	p.say("<message><body>goodbye</body></message>" + endTag)
	n.waitBody(t, "goodbye") // it was on its way
	wait1(t, n.recorder, "vanished", func(v PeerVanished) bool { return v.Instance == "romeo@h3" })
	if err := verdict(t, n.send("romeo@h3", "x")); !errors.Is(err, ErrNoPeer) {
		t.Errorf("Send: %v", err)
	}
}

func TestStreamsOfAPeerThatMovedAreEnded(t *testing.T) {
	n, p := rawTalk(t, Config{})
	n.HandleMDNS(mdns.Changed{Entry: mdns.Entry{
		Instance: "romeo@h3", Type: serviceType, Port: 1, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.9")},
	}})
	p.until(endTag)
}

func TestThreeHundredContacts(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "", Config{})
	seen := start(t, lan.host("127.0.0.3"), "romeo", Config{})
	for i := range 300 {
		if err := n.Publish(Contact{ID: ContactID(fmt.Sprint(i)), User: fmt.Sprint("user", i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen.waitPeer(t, "user299@gw")
	if got := n.Stats().Contacts; got != 300 {
		t.Errorf("%d contacts", got)
	}
	seen.Send(Outgoing{From: "c", To: "user123@gw", Stanza: message("hi")})
	if got := n.waitBody(t, "hi"); got.To != "123" {
		t.Errorf("message for %s", got.To)
	}
}

func TestPresenceChangesAreAnnouncedUnderTheSameName(t *testing.T) {
	a, b := twoNodes(t, Config{Publish: &PublishKeys{Nick: true, Status: true, Msg: true}})
	a.Publish(Contact{ID: "c", User: "juliet", Presence: Presence{Status: DND, Msg: "on the balcony", Nick: "Jule"}})
	got := wait1(t, b.recorder, "change", func(p PeerChanged) bool { return p.Peer.Instance == a.name })
	p := got.Peer.Presence
	if p.Status != DND || p.Msg != "on the balcony" || p.Nick != "Jule" { // LL-10
		t.Errorf("presence %+v", p)
	}
	a.Publish(Contact{ID: "c", User: "giulietta"})
	b.waitPeer(t, "giulietta@gw")
	wait1(t, b.recorder, "old name", func(v PeerVanished) bool { return v.Instance == a.name })
}

func TestStanzaWithForeignPayloadArrivesIntact(t *testing.T) {
	a, b := twoNodes(t, Config{})
	el := message("x & <y>")
	el.Nodes = append(el.Nodes, stanza.Node{Element: stanza.New("urn:x", "p", stanza.New("urn:y", "q", stanza.Text("é")))})
	a.Send(Outgoing{From: "c", To: b.name, Stanza: el})
	got := b.waitBody(t, "x & <y>")
	if diff := cmp.Diff(el.Nodes, got.Stanza.Nodes); diff != "" {
		t.Error(diff)
	}
}
