package linklocal

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
	"meshgate/linklocal/mdns"
)

// One test per duty; more of LL-12, LL-14, IJ-04 and IJ-07 is in
// testdata/*.txt, which TestScripts plays.

func (d *fakeDNS) service(t testing.TB, instance string) mdns.Entry {
	t.Helper()
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	for _, e := range d.services {
		if e.Instance == instance {
			return e
		}
	}
	t.Fatalf("%s is not published", instance)
	return mdns.Entry{}
}

// LL-01 (the US-ASCII part), LL-02: the SRV port is the one that listens.
func TestLL02PublishedPortIsTheListeningPort(t *testing.T) {
	n := start(t, new(fakeLAN).host("127.0.0.2"), "Jülia", Config{Machine: "büro.example.org"})
	if n.name != "Jülia@b-ro" {
		t.Errorf("name %q", n.name)
	}
	e := n.dns.service(t, string(n.name))
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", e.Port))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// LL-05: a taken name gets a digit, and the caller is told which.
func TestLL05TakenNameGetsADigit(t *testing.T) {
	dns := new(fakeLAN).host("127.0.0.2")
	dns.taken["romeo@gw"], dns.taken["romeo1@gw"] = true, true
	n := start(t, dns, "romeo", Config{})
	if n.name != "romeo2@gw" {
		t.Errorf("name %q", n.name)
	}
}

// LL-05: a conflict later on ends the streams under the old name, and what is
// said afterwards is said under the new one.
func TestLL05LaterConflict(t *testing.T) {
	n, p := rawTalk(t, Config{})
	n.dns.lan.mu.Lock()
	var id mdns.ServiceID
	for id = range n.dns.services {
	}
	n.dns.lan.mu.Unlock()
	n.HandleMDNS(mdns.Renaming{ID: id, Old: string(n.name), New: "juliet1@gw"})
	p.until(endTag)
	n.HandleMDNS(mdns.Established{ID: id, Instance: "juliet1@gw"})
	wait1(t, n.recorder, "new name", func(c ContactPublished) bool { return c.Instance == "juliet1@gw" })
	q := call(t, "127.0.0.3", n.addr)
	q.say("%s", headerFrom("romeo@h3", ""))
	q.until("from='juliet1@gw' to='romeo@h3'>")
	n.send("romeo@h3", "my new name")
	q.until("from='juliet1@gw'><body>my new name</body></message>")
}

// LL-06: names are no JIDs.
func TestLL06StrangeNamesAreSpokenTo(t *testing.T) {
	for _, name := range []Instance{"Dr. J@box", "wjt@bael (2)", "bob@h2 #2", `a\b@h`, "Ünï@h", "no machine", "<&'\">@h"} {
		lan := new(fakeLAN)
		n := start(t, lan.host("127.0.0.2"), "juliet", Config{})
		ln := listenRaw(t, lan.host("127.0.0.3"), string(name))
		if p := n.waitPeer(t, name); p.Instance != name { // LL-09
			t.Errorf("peer %q", p.Instance)
		}
		done := n.send(name, "hi")
		p := answer(t, ln)
		p.until("to='" + stanza.Escape(string(name)) + "'>")
		p.say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='%s'>", stanza.Escape(string(name)))
		p.until("to='" + stanza.Escape(string(name)) + "' from='juliet@gw'><body>hi</body></message>") // LL-13
		if err := verdict(t, done); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		p.Close()
		n.stop()
	}
}

// LL-07: one entry however often mDNS shows it; none for ourselves.
func TestLL07OneEntryPerPeerAndNoneForUs(t *testing.T) {
	n, _ := rawTalk(t, Config{})
	own := n.dns.service(t, string(n.name))
	n.HandleMDNS(mdns.Appeared{Entry: own})
	n.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: "ROMEO@h3", Type: serviceType, Addrs: addrs("127.0.0.3")}})
	n.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: "room", Type: "_clique._udp"}})
	n.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: "last@h4", Type: serviceType}})
	n.waitPeer(t, "last@h4")
	events, _ := n.all()
	var seen []Instance
	for _, ev := range events {
		if p, ok := ev.(PeerAppeared); ok {
			seen = append(seen, p.Peer.Instance)
		}
	}
	if diff := cmp.Diff([]Instance{"romeo@h3", "last@h4"}, seen); diff != "" {
		t.Error(diff)
	}
}

// LL-08: the address is the one of now, not the one of the discovery.
func TestLL08AddressIsResolvedWhenTheConversationStarts(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{})
	h := lan.host("127.0.0.3")
	h.peer(t, "romeo@h3", 1) // nobody listens there
	n.waitPeer(t, "romeo@h3")
	lan.mu.Lock()
	h.silent = true // the Service does not hear of the move
	delete(h.services, "romeo@h3")
	lan.mu.Unlock()
	ln := listenRaw(t, h, "romeo@h3")
	n.send("romeo@h3", "hi")
	p := answer(t, ln)
	// From the address that we publish, or libpurple closes at once.
	if from := addrOf(p.RemoteAddr()); from != n.dns.addrs[0] {
		t.Errorf("called from %v", from)
	}
}

// LL-08: of several addresses of a peer one that answers is used.
func TestLL08EveryAddressOfAPeerIsTried(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{})
	h := lan.host("127.0.0.3")
	h.addrs = addrs("127.0.0.8", "127.0.0.9", "127.0.0.3") // nobody is at the first two
	ln, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h.peer(t, "romeo@h3", uint16(ln.Addr().(*net.TCPAddr).Port))
	n.waitPeer(t, "romeo@h3")
	n.send("romeo@h3", "hi")
	answer(t, ln).until("to='romeo@h3'>")
}

// LL-12: the port of the SRV record counts, port.p2pj never.
func TestLL12PortOfTheTXTRecordIsIgnored(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{})
	trap, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	ln, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lan.host("127.0.0.3").peer(t, "romeo@h3", uint16(ln.Addr().(*net.TCPAddr).Port),
		fmt.Sprint("port.p2pj=", trap.Addr().(*net.TCPAddr).Port))
	n.waitPeer(t, "romeo@h3")
	n.send("romeo@h3", "hi")
	answer(t, ln).until("to='romeo@h3'>")
}

// LL-14: an idle conversation is ended, on both sides.
func TestLL14IdleConversationEnds(t *testing.T) {
	a, b := twoNodes(t, Config{Idle: 100 * time.Millisecond})
	if err := verdict(t, a.send(b.name, "hi")); err != nil {
		t.Fatal(err)
	}
	b.waitBody(t, "hi")
	for begin := time.Now(); a.Stats().Streams+b.Stats().Streams > 0; runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatal("streams stay open")
		}
	}
	if err := verdict(t, b.send(a.name, "again")); err != nil {
		t.Error(err)
	}
	a.waitBody(t, "again")
}

// LL-19: whoever opens a stream with a version hears at once what the TXT
// record says in short.
func TestLL19CapabilitiesAreInTheFeatures(t *testing.T) {
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{Node: "urn:x-test"})
	lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
	n.waitPeer(t, "romeo@h3")
	own := ParseTXT(n.dns.service(t, string(n.name)).Text)
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s", secondHeader("romeo@h3"))
	p.until("<stream:features>")
	p.until("<query xmlns='http://jabber.org/protocol/disco#info' node='" + own.Node + "#" + stanza.Escape(own.Ver) + "'><identity ")
	p.until("</query></stream:features>")
	if own.Ver == "" {
		t.Error("no capabilities in the record")
	}
	p.say("<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info' node='%s#%s'/></iq>", own.Node, own.Ver)
	p.until("<iq type='result' id='1'")
}

// IJ-04: who the caller is must fit mDNS and the address it calls from.
func TestIJ04CallersAreCheckedAgainstMDNS(t *testing.T) {
	const msg = "<message><body>in</body></message>"
	for _, tt := range []struct {
		name, from, said string
		refusal          condition // "": let in
		spoofed, unknown int64
	}{
		{"known, from its address", "127.0.0.3", headerFrom("romeo@h3", "x") + msg, "", 0, 0},
		{"other case", "127.0.0.3", headerFrom("ROMEO@H3", "x") + msg, "", 0, 0},
		{"known, from another address", "127.0.0.4", headerFrom("romeo@h3", "x") + msg, invalidFrom, 1, 0},
		{"unknown", "127.0.0.9", headerFrom("nobody@h9", "x") + msg, notAuthorized, 0, 1},
		{"our own name", "127.0.0.3", headerFrom("juliet@gw", "x") + msg, invalidFrom, 1, 0},
		{"no name, the only one there", "127.0.0.3", oldHeader + msg, "", 0, 0},
		{"no name, two there", "127.0.0.4", oldHeader + msg, notAuthorized, 0, 1},
		{"no name, nobody there", "127.0.0.9", oldHeader + msg, notAuthorized, 0, 1},
		{"named by the stanza, two there", "127.0.0.4", oldHeader + "<message from='b@h4'><body>in</body></message>", "", 0, 0},
		{"named wrong by the stanza", "127.0.0.4", oldHeader + "<message from='romeo@h3'><body>in</body></message>", invalidFrom, 1, 0},
		{"not announced, but mDNS knows", "127.0.0.5", headerFrom("late@h5", "x") + msg, "", 0, 0},
		{"not announced, from elsewhere", "127.0.0.3", headerFrom("late@h5", "x") + msg, invalidFrom, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lan := new(fakeLAN)
			n := start(t, lan.host("127.0.0.2"), "juliet", Config{News: time.Nanosecond})
			lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
			two := lan.host("127.0.0.4")
			two.peer(t, "a@h4", 1)
			two.peer(t, "b@h4", 1)
			late := lan.host("127.0.0.5")
			late.silent = true
			late.peer(t, "late@h5", 1)
			n.waitPeer(t, "b@h4")
			p := call(t, tt.from, n.addr)
			p.say("%s", tt.said)
			if tt.refusal == "" {
				got := n.waitBody(t, "in")
				if n.waitPeer(t, got.From).Instance == "" { // known before it speaks
					t.Error("unknown peer")
				}
			} else {
				if got := p.rest(); !strings.Contains(got, "<"+string(tt.refusal)+" ") || !strings.HasSuffix(got, endTag) {
					t.Errorf("answer %q", got)
				}
				if got := n.bodies(); got != nil {
					t.Errorf("delivered %v", got)
				}
			}
			st := n.Stats()
			if st.Spoofed != tt.spoofed || st.UnknownCallers != tt.unknown || tt.refusal != "" && st.StreamErrors[string(tt.refusal)] != 1 {
				t.Errorf("spoofed %d, unknown %d, errors %v", st.Spoofed, st.UnknownCallers, st.StreamErrors)
			}
		})
	}
}

// IJ-04: later stanzas under another name end the stream.
func TestIJ04LaterStanzaUnderAnotherName(t *testing.T) {
	n, p := rawTalk(t, Config{})
	p.say("<message><body>1</body></message><message from='mallory@h3'><body>2</body></message><message><body>3</body></message>")
	if got := p.rest(); !strings.Contains(got, "<invalid-from") {
		t.Errorf("answer %q", got)
	}
	n.waitBody(t, "1")
	p.Close()
	n.stop()
	if diff := cmp.Diff([]string{"1"}, n.bodies()); diff != "" {
		t.Error(diff)
	}
	if n.Stats().Spoofed != 1 {
		t.Error("not counted")
	}
}

// IJ-04: a connection that did not come over the mesh's interface is not read.
func TestIJ04ConnectionsToOtherAddressesAreClosed(t *testing.T) {
	n, _ := rawTalk(t, Config{})
	_, port, _ := net.SplitHostPort(n.addr)
	p := call(t, "127.0.0.3", "127.0.0.1:"+port)
	if got := p.rest(); got != "" || n.Stats().WrongInterface != 1 {
		t.Errorf("got %q, counted %d", got, n.Stats().WrongInterface)
	}
}

// IJ-07: iqs are answered, never forwarded.
func TestIJ07IQsAreAnsweredAndNotForwarded(t *testing.T) {
	n, p := rawTalk(t, Config{})
	p.say("<iq type='set' id='1'><query xmlns='jabber:iq:oob'/></iq><iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>")
	p.until("<iq type='error' id='1' to='romeo@h3' from='juliet@gw'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	p.until("<iq type='result' id='2' to='romeo@h3' from='juliet@gw'/>")
	p.say("<message><body>after</body></message>")
	n.waitBody(t, "after")
	if got := n.bodies(); len(got) != 1 {
		t.Errorf("delivered %v", got)
	}
	if st := n.Stats(); st.IQRefused != 1 || st.IQAnswered != 1 {
		t.Errorf("counters %+v", st)
	}
}

// IJ-04, LL-12: a caller whose SRV record of us is stale may reach the port of
// another contact, which must not read what is meant for somebody else.
func TestCallersOfAnotherContactAreRefused(t *testing.T) {
	for name, said := range map[string]string{
		"in the header":       headerFrom("romeo@h3", "NURSE@gw") + "<message><body>secret</body></message>",
		"in the first stanza": oldHeader + "<message from='romeo@h3' to='nurse@gw'><body>secret</body></message>",
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := rawTalk(t, Config{CloseTimeout: 50 * time.Millisecond})
			n.publish(t, "d", "nurse")
			p := call(t, "127.0.0.3", n.addr)
			p.say("%s", said)
			if got := p.rest(); !strings.Contains(got, "<host-unknown") {
				t.Errorf("got %q", got)
			}
			if got := n.bodies(); len(got) > 0 {
				t.Errorf("delivered to the wrong contact: %q", got)
			}
		})
	}
	n, _ := rawTalk(t, Config{}) // a name that we had before a conflict, say
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s<message><body>hello</body></message>", headerFrom("romeo@h3", "juliette@gw"))
	n.waitBody(t, "hello")
}
