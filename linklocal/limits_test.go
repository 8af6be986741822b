package linklocal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/linklocal/mdns"
)

func TestHalfClosedPeerStillGetsOurEndTag(t *testing.T) {
	for range 20 {
		n, p := rawTalk(t, Config{})
		p.say("<message><body>bye</body></message>" + endTag)
		p.Conn.(*net.TCPConn).CloseWrite()
		if got := p.rest(); got != endTag { // LL-14
			t.Fatalf("got %q", got)
		}
		n.waitBody(t, "bye")
		n.stop()
	}
}

func TestHeaderThatDoesNotCompleteIsNotWaitedFor(t *testing.T) {
	cfg := Config{HeaderTimeout: 50 * time.Millisecond, CallerTimeout: 50 * time.Millisecond}
	n := knowing(t, cfg)
	for _, said := range []string{"", "<stream:str", oldHeader} { // the last one never says its name
		p := call(t, "127.0.0.3", n.addr)
		p.say("%s", said)
		if got := p.rest(); !strings.Contains(got, "<connection-timeout") || !strings.HasSuffix(got, endTag) {
			t.Errorf("after %q: %q", said, got)
		}
	}
}

func TestStreamsInAllAreBounded(t *testing.T) {
	n, _ := rawTalk(t, Config{MaxStreams: 2})
	call(t, "127.0.0.4", n.addr)
	if got := call(t, "127.0.0.5", n.addr).rest(); got != "" || n.Stats().OverLimit != 1 {
		t.Errorf("got %q, stats %+v", got, n.Stats())
	}
}

// A stream that is over has its place until the handler has taken what was
// said on it: or else whoever talks and hangs up could have any number.
func TestStreamsThatAreOverCountUntilTheirWordsAreTaken(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "", Config{MaxStreams: 4})
	taken := make(chan struct{})
	n.block = func(ctx context.Context, ev Event) {
		if _, ok := ev.(Received); ok {
			select {
			case <-taken:
			case <-ctx.Done():
			}
		}
	}
	n.name, n.addr = n.publish(t, "c", "juliet")
	lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
	n.waitPeer(t, "romeo@h3")
	talk := func() (answer string) {
		p := call(t, "127.0.0.3", n.addr)
		fmt.Fprintf(p, "%s<message><body>hi</body></message>%s", headerFrom("romeo@h3", ""), endTag)
		return p.rest()
	}
	for range 3 {
		if !strings.HasSuffix(talk(), endTag) {
			t.Error("there is no room")
		}
	}
	if got := talk(); got != "" || n.Stats().OverLimit != 1 {
		t.Errorf("answer %q, %d over the limit", got, n.Stats().OverLimit)
	}
	close(taken)
	for begin := time.Now(); !strings.HasSuffix(talk(), endTag); {
		if time.Since(begin) > patience {
			t.Fatal("there is no room any more")
		}
	}
}

func TestSearchesBecauseOfCallersAreBounded(t *testing.T) {
	l := &loop{searches: make(map[searchKey]*search)}
	a := netip.MustParseAddr("10.0.0.1")
	for i := range maxSearches + 1 {
		if i > 0 && i%maxSearchesPerAddr == 0 {
			if l.maySearch(a) {
				t.Fatalf("more than %d at once for one address", maxSearchesPerAddr)
			}
			a = a.Next()
		}
		if l.maySearch(a) != (i < maxSearches) {
			t.Fatalf("number %d", i)
		}
		l.searches[searchKey{fmt.Sprint(i), a}] = &search{}
	}
}

// Searches that are over do not count any more.
func TestManyUnknownCallersOneAfterTheOther(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{News: time.Nanosecond})
	late := lan.host("127.0.0.5")
	late.silent = true
	late.peer(t, "late@h5", 1)
	for i := range maxSearchesPerAddr + 1 {
		call(t, "127.0.0.5", n.addr).say("%s", headerFrom(fmt.Sprint("nobody", i, "@h9"), ""))
	}
	for begin := time.Now(); n.Stats().UnknownCallers != maxSearchesPerAddr+1; runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatalf("%d unknown callers", n.Stats().UnknownCallers)
		}
	}
	call(t, "127.0.0.5", n.addr).say("%s<message><body>hi</body></message>", headerFrom("late@h5", ""))
	n.waitBody(t, "hi")
}

// Whoever fills all places with connections must not keep us from calling others.
func TestCallersLeaveRoomForOurOwnCalls(t *testing.T) {
	n, ln := rawCallee(t, Config{MaxStreams: 4})
	var last *rawPeer
	for i := range 4 {
		last = call(t, fmt.Sprintf("127.0.0.%d", 4+i), n.addr)
	}
	last.rest() // refused
	done := n.send("romeo@h3", "hail")
	answer(t, ln).say("%s", oldHeader)
	if err := verdict(t, done); err != nil {
		t.Error(err)
	}
}

// A person says hello to everybody: libpurple opens a stream for each.
func TestOneHostMayTalkToManyContacts(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "", Config{})
	lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
	n.waitPeer(t, "romeo@h3")
	for i := range 50 {
		_, addr := n.publish(t, ContactID(fmt.Sprint("c", i)), fmt.Sprint("user", i))
		call(t, "127.0.0.3", addr).say("%s<message><body>hello %d</body></message>", headerFrom("romeo@h3", ""), i)
		n.waitBody(t, fmt.Sprint("hello ", i))
	}
}

func TestRoomIsFreeAgainAfterAStreamHasEnded(t *testing.T) {
	n, p := rawTalk(t, Config{MaxStreamsPerAddr: 1})
	p.say(endTag)
	p.rest()
	p = call(t, "127.0.0.3", n.addr)
	p.say("%s<message><body>again</body></message>", headerFrom("romeo@h3", ""))
	n.waitBody(t, "again")
}

func TestContactsAreBoundedAndChecked(t *testing.T) {
	n := start(t, new(fakeLAN).host("127.0.0.2"), "juliet", Config{MaxContacts: 2})
	for _, c := range []Contact{{ID: "x"}, {User: "x"}} {
		if n.Publish(c) == nil {
			t.Errorf("published %+v", c)
		}
	}
	for _, id := range []ContactID{"d", "e", "f"} {
		if err := n.Publish(Contact{ID: id, User: string(id)}); err != nil {
			t.Fatal(err)
		}
	}
	wait1(t, n.recorder, "second contact", func(c ContactPublished) bool { return c.ID == "d" })
	n.Withdraw("d")
	n.publish(t, "g", "g") // there is room again
	if got := n.Stats().Contacts; got != 2 {
		t.Errorf("%d contacts", got)
	}
	n.stop()
	if err := n.Publish(Contact{ID: "h", User: "h"}); !errors.Is(err, ErrStopped) {
		t.Errorf("after Run: %v", err)
	}
}

// Before Run everything is remembered, after it nothing piles up.
func TestCommandsBeforeRun(t *testing.T) {
	dns := new(fakeLAN).host("127.0.0.2")
	s := New(Config{Machine: "gw"}, dns)
	dns.attach(s)
	s.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: "early@h", Type: serviceType}})
	if err := s.Publish(Contact{ID: "c", User: "juliet"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	s.Send(Outgoing{From: "c", To: "nobody@h", Stanza: message("x"), Done: func(err error) { done <- err }})
	ctx, cancel := context.WithCancel(context.Background())
	r, ended := newRecorder(), make(chan error, 1)
	go func() { ended <- s.Run(ctx, r) }()
	r.waitPeer(t, "early@h")
	wait1(t, r, "publication", func(c ContactPublished) bool { return c.Instance == "juliet@gw" })
	// Which of the two errors depends on whether the name was there yet.
	if err := verdict(t, done); !errors.Is(err, ErrNoPeer) && !errors.Is(err, ErrNoContact) {
		t.Errorf("Done: %v", err)
	}
	cancel()
	if err := verdict(t, ended); err != nil {
		t.Error(err)
	}
	for i := range 100_000 {
		s.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: fmt.Sprint("p", i), Type: serviceType}})
	}
	if n := len(s.inbox.Take()); n == 0 || n > 4*(s.cfg.MaxPeers+s.cfg.MaxContacts) || s.Stats().EventsLost == 0 {
		t.Errorf("%d events kept, %d lost", n, s.Stats().EventsLost)
	}
}

func TestSendsInAllAreBounded(t *testing.T) {
	s := New(Config{MaxQueued: 3}, new(fakeLAN).host("127.0.0.2"))
	var errs []error
	for range 5 {
		s.Send(Outgoing{From: "c", To: "x@h", Stanza: message("x"), Done: func(err error) { errs = append(errs, err) }})
	}
	if len(errs) != 2 || !errors.Is(errs[0], ErrQueueFull) {
		t.Errorf("errors: %v", errs)
	}
}

func TestInboxKeepsTheLastWordForEachName(t *testing.T) {
	s := New(Config{}, new(fakeLAN).host("127.0.0.2"))
	entry := func(name string, port uint16) mdns.Entry {
		return mdns.Entry{Instance: name, Type: serviceType, Port: port}
	}
	s.HandleMDNS(mdns.Appeared{Entry: entry("a@h", 1)})
	s.HandleMDNS(mdns.Appeared{Entry: entry("b@h", 1)})
	s.HandleMDNS(mdns.Vanished{Instance: "A@h", Type: serviceType})
	s.HandleMDNS(mdns.Changed{Entry: entry("b@h", 2)})
	s.HandleMDNS(mdns.Renaming{ID: "x", Old: "o", New: "n"})
	s.HandleMDNS(mdns.Established{ID: "x", Instance: "n"})
	s.HandleMDNS(mdns.Resolved{})
	s.HandleMDNS(mdns.Vanished{Instance: "room", Type: "_clique._udp"})
	want := []mdns.Event{
		mdns.Vanished{Instance: "A@h", Type: serviceType},
		mdns.Changed{Entry: entry("b@h", 2)},
		mdns.Established{ID: "x", Instance: "n"},
	}
	if diff := cmp.Diff(want, s.inbox.Take()); diff != "" {
		t.Error(diff)
	}
}

func TestNewsAboutPeersDoNotPileUpBehindABlockedHandler(t *testing.T) {
	release := make(chan struct{})
	n := start(t, new(fakeLAN).host("127.0.0.2"), "", Config{})
	n.block = func(ctx context.Context, ev Event) {
		if p, ok := ev.(PeerAppeared); ok && p.Peer.Instance == "first@h" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	entry := mdns.Entry{Instance: "first@h", Type: serviceType}
	n.HandleMDNS(mdns.Appeared{Entry: entry})
	for port := range uint16(1000) {
		entry = mdns.Entry{Instance: "second@h", Type: serviceType, Port: port}
		n.HandleMDNS(mdns.Changed{Entry: entry})
		if port%100 == 0 {
			n.Stats()
		}
	}
	close(release)
	n.waitPeer(t, "second@h")
	wait1(t, n.recorder, "last state", func(ev Event) bool {
		switch ev := ev.(type) {
		case PeerAppeared:
			return ev.Peer.Port == 999
		case PeerChanged:
			return ev.Peer.Port == 999
		}
		return false
	})
}

// A connection that breaks in the middle of a queue: what the socket has not
// taken, and what it has taken just before and the peer has not read, goes over
// a new stream, in order, once.
func TestUnwrittenStanzasAreRetriedOnAFreshStream(t *testing.T) {
	const count = 120
	n, ln := rawCallee(t, Config{QueuePerPeer: count})
	pad := strings.Repeat("x", 60<<10) // 7 MB: more than the kernel takes from a peer that does not read
	var verdicts []<-chan error
	for i := range count {
		verdicts = append(verdicts, n.send("romeo@h3", fmt.Sprintf("%d:%s", i, pad)))
	}
	first := answer(t, ln)
	first.Conn.(*net.TCPConn).SetReadBuffer(4096)
	first.say("%s", oldHeader)
	if err := verdict(t, verdicts[0]); err != nil {
		t.Fatal(err)
	}
	first.Conn.(*net.TCPConn).SetLinger(0)
	first.Close() // with RST

	second := answer(t, ln)
	second.say("%s", oldHeader)
	second.until("<body>")
	var next int
	if _, err := fmt.Sscanf(second.until(":"), "%d:", &next); err != nil {
		t.Fatal(err)
	}
	if next == count-1 {
		t.Errorf("the first on the second stream is %d", next)
	}
	for ; next < count-1; next++ {
		second.until("</body></message>")
		if want := fmt.Sprintf("%d:", next+1); !strings.HasSuffix(second.until(":"), "<body>"+want) {
			t.Fatalf("%d does not come next", next+1)
		}
	}
	second.until("</body></message>")
	for i, v := range verdicts[1:] {
		if err := verdict(t, v); err != nil {
			t.Fatalf("stanza %d: %v", i+1, err)
		}
	}
}

// Whoever sends one for each that was taken, as the server session does, never
// finds the queue of a peer full.
func TestWhatIsWrittenMakesRoomAtOnce(t *testing.T) {
	const room, count = 4, 2000
	n, ln := rawCallee(t, Config{QueuePerPeer: room})
	results := make(chan error, count)
	var left atomic.Int32
	left.Store(count)
	var next func(error)
	send := func() {
		if left.Add(-1) >= 0 {
			n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: message("hail"), Done: next})
		}
	}
	next = func(err error) {
		results <- err
		send()
	}
	for range room {
		send()
	}
	p := answer(t, ln)
	p.say("%s", oldHeader)
	go io.Copy(io.Discard, p)
	for range count {
		if err := verdict(t, results); err != nil {
			t.Fatal(err)
		}
	}
}
