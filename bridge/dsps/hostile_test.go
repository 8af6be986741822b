package dsps_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/e2e/rawstream"
	"meshgate/internal/stanza"
)

// A street has a stream of people who mean well, and eve, who knows all their
// addresses, and has a stream of her own.
type street struct {
	*crowd
	eve   *person
	own   string
	count int
}

func newStreet(t *testing.T, change ...func(*dsps.ServerConfig)) *street {
	t.Helper()
	s := &street{crowd: newCrowd(t, 2, plain, "", change...)}
	s.eve = s.o.person("eve@home.org/e")
	s.own = s.eve.Create("", "")
	return s
}

// quiet checks that the stream goes on, and that nobody on it was told anything.
func (s *street) quiet(after string) {
	s.o.t.Helper()
	s.count++
	want := fmt.Sprintf("%d, after %s", s.count, after)
	s.master.Put(want)
	for _, l := range s.slaves {
		l.WantData("0", want)
	}
	s.slaves[0].Put(want)
	s.master.WantData("1", want)
	for _, p := range append(s.guests, s.rob) {
		p.Refute("something after "+after, func(a answer) bool {
			return a.Word() == "presence" && a.Query[0].Peers[0].Status != "connect" || a.Word() == "acknowledge" && a.Query[0].Status == "drop"
		})
	}
}

// key brings a key over XML, and returns the code with which it is refused.
func key(p *person, at, k string) string {
	return p.Ask(at, "get", "<query type='auth' xmlns='jabber:iq:dsps'>"+k+"</query>").Error.Code
}

// DS-04: keys that were used are worth nothing, and trying them ends nothing.
func TestKeysAreGoodOnce(t *testing.T) {
	s := newStreet(t)
	bob := s.o.person("bob@home.org/b")
	at := s.rob.Invite(s.at, bob, bob.JID, "slave", "")
	l, first, err := bob.Hello(at, plain)
	if err != nil {
		t.Fatal(err)
	}
	second, err := bob.NextKey(at, first)
	if err != nil {
		t.Fatal(err)
	}
	if code := key(bob, at, first); code != "401" {
		t.Errorf("the first key again: %q", code)
	}
	l.Ended("the first key came twice")
	replayed, third, err := bob.Hello(at, plain)
	if err != nil {
		t.Fatal(err)
	}
	replayed.Put(second + "\r")
	replayed.Ended("a key of another connection")
	if code := key(bob, at, third); code != "401" {
		t.Errorf("a key of a connection that is gone: %q", code)
	}
	l = bob.Connect(at, plain, "")
	s.rob.Presence(bob.JID, "connect")
	for _, k := range []string{first, second, third, "", strings.Repeat("k", 128)} {
		if code := key(bob, at, k); code != "401" {
			t.Errorf("key %q of who is connected: %q", k, code)
		}
	}
	s.quiet("keys of before")
	l.WantData("0", "1, after keys of before")
}

// DS-04, DS-05: who knows the addresses of others gets no further than a key.
func TestHandshakesInTheNameOfOthers(t *testing.T) {
	s := newStreet(t)
	bob := s.o.person("bob@home.org/b")
	at := s.rob.Invite(s.at, bob, bob.JID, "slave", "")
	asBob := func() (*line, string) {
		l := dial(t, s.s)
		l.Put(bob.JID + " " + at + "\r")
		k, err := l.Until('\r')
		if err != nil {
			t.Fatal(err)
		}
		return l, k
	}
	l, k := asBob()
	for to, what := range map[string]string{at: "another's address", s.own: "her own", s.at: "the master's"} {
		if code := key(s.eve, to, k); code != "401" {
			t.Errorf("bob's key from eve at %s: %q", what, code)
		}
	}
	for range 10 {
		asBob() // and bob is not kept out
	}
	l.Ended("so many that the first gives way")
	data := bob.Connect(at, plain, "")
	s.rob.Presence(bob.JID, "connect")
	for _, pair := range []string{bob.JID + " " + at, s.rob.JID + " " + s.at, s.guests[0].JID + " " + s.at, s.eve.JID + " " + s.at} {
		l := dial(t, s.s)
		l.Put(pair + "\r")
		l.Ended(pair)
	}
	bob.Get("409", func(a answer) bool { return a.Error.Code == "409" })
	s.rob.Get("409", func(a answer) bool { return a.Error.Code == "409" })
	s.quiet("handshakes of eve's")
	data.WantData("0", "1, after handshakes of eve's")
}

// DS-07, DS-12: who is not on a stream, or a slave, changes nothing and learns nothing.
func TestStreamsOfOthersAreOthers(t *testing.T) {
	s := newStreet(t)
	const ns = " xmlns='jabber:iq:dsps'"
	drop := "<query type='admin'" + ns + "><peer type='drop'>" + s.rob.JID + "</peer></query>"
	invite := "<query type='admin'" + ns + "><peer type='master'>" + s.eve.JID + "</peer></query>"
	for _, inner := range []string{drop, invite} {
		if a := s.eve.Ask(s.at, "set", inner); a.Error.Code != "401" {
			t.Errorf("a stranger: %+v", a)
		}
	}
	for _, word := range []string{"who", "stats"} {
		if a := s.eve.Query(s.at, word); a.Error.Code != "401" {
			t.Errorf("a stranger asks %s: %+v", word, a)
		}
	}
	at := s.rob.Invite(s.at, s.eve, s.eve.JID, "slave", "")
	for _, inner := range []string{drop, invite} {
		if a := s.eve.Ask(at, "set", inner); a.Error.Code != "403" {
			t.Errorf("a slave: %+v", a)
		}
	}
	for _, inner := range []string{"<query type='create'" + ns + "/>", "<query type='create'" + ns + "><peer>a@b/c</peer></query>"} {
		if a := s.eve.Ask(at, "get", inner); a.Error.Code != "405" {
			t.Errorf("there is no relay: %+v", a)
		}
	}
	// Answers to questions that nobody asked.
	for _, inner := range []string{"<query type='acknowledge'" + ns + " status='connect'/>", "<query type='acknowledge'" + ns + " status='drop'/>", "<query type='create'" + ns + ">key</query>"} {
		s.eve.Say(at, "result", s.eve.NewID(), inner)
		s.eve.Say(s.at, "result", s.eve.NewID(), inner)
	}
	s.quiet("eve")
}

// DS-01: lines without end are ended, without being kept.
func TestLinesWithoutEnd(t *testing.T) {
	s := newStreet(t)
	before := heap()
	for _, begin := range []string{"", "GET /DSPS/STREAM/ HTTP/1.0\r\nHost: ", "GET /DSPS/STREAM/ HTTP/1.0\r\n\r\n", "starttls\r\n\x16\x03\x01\xff\xff", s.eve.JID + " "} {
		l := dial(t, s.s)
		_, _ = io.WriteString(l.Conn, begin)
		_ = l.SetWriteDeadline(time.Now().Add(rawstream.Patience))
		junk := bytes.Repeat([]byte("x"), 1<<20)
		n, err := 0, error(nil)
		for err == nil && n < 64<<20 {
			var m int
			m, err = l.Write(junk)
			n += m
		}
		if err == nil || rawstream.IsTimeout(err) {
			t.Errorf("%.20q: %d MiB were taken, %v", begin, n>>20, err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
	s.quiet("lines without end")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// DS-01: nothing of a request is left for whoever reads requests in front of us or
// behind us in another way.
func TestHTTPIsNotSmuggled(t *testing.T) {
	s := newStreet(t)
	const get = "GET /DSPS/STREAM/ HTTP/1.1\r\n"
	for _, request := range []string{
		get + "Host: a\r\n folded: b\r\n\r\n",
		get + "Host: a\r\n\tContent-Length: 5\r\n\r\n",
		get + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
		get + "Content-Length: 0, 5\r\n\r\nhello",
		get + "Content-Length: +0\r\n\r\n",
		get + "content-length:\t5\r\n\r\nhello",
		get + "Transfer-Encoding: identity\r\n\r\n",
		get + "transfer-encoding:\r\n\r\n",
		get + "Transfer-Encoding\x00: chunked\r\n\r\n",
		get + "X: a\rTransfer-Encoding: chunked\r\n\r\n",
		get + "X: a\x00b\r\n\r\n",
		get + ": x\r\n\r\n",
		"GET  /DSPS/STREAM/ HTTP/1.0\r\n\r\n",
		"GET /DSPS/STREAM/ HTTP/1.0 \r\n\r\n",
		"GET /DSPS/STREAM/?x HTTP/1.0\r\n\r\n",
		"GET http://h/DSPS/STREAM/ HTTP/1.0\r\n\r\n",
		"GET /DSPS/STREAM/ HTTP/2.0\r\n\r\n",
		"GET /DSPS/STREAM/\r\n",
	} {
		l := dial(t, s.s)
		l.Put(request)
		if got, _ := l.Rest(); strings.Contains(got, "200") {
			t.Errorf("%q: %q", request, got)
		}
	}
	// Behind one that is good stands a first line, whatever it looks like.
	for _, second := range []string{get, "POST / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", "\r\n"} {
		l := dial(t, s.s)
		l.Put(get + "\r\n" + second + "\r\n")
		if got, _ := l.Rest(); got != "" && got != "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n" {
			t.Errorf("%q behind a request: %q", second, got) // the answer to the first may be lost
		}
	}
	s.quiet("requests")
}

// DS-01: whoever says a byte now and then is cut off like who says none, at every step.
func TestHandshakesThatNeverFinish(t *testing.T) {
	s := newStreet(t, func(c *dsps.ServerConfig) { c.HandshakeTimeout = 2 * time.Second })
	bob := s.o.person("bob@home.org/b")
	at := s.rob.Invite(s.at, bob, bob.JID, "slave", "")
	hello := func() *line {
		l, _, err := bob.Hello(at, plain)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	proven, k, err := bob.Hello(at, plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.NextKey(at, k); err != nil {
		t.Fatal(err)
	}
	open := map[string]*line{
		"nothing": dial(t, s.s), "a first line": dial(t, s.s), "a request": dial(t, s.s), "TLS": dial(t, s.s), "a key": hello(), "the second key": proven,
	}
	open["a request"].Put("GET /DSPS/STREAM/ HTTP/1.0\r\n")
	open["TLS"].Put("starttls\r\x16")
	for what, l := range open {
		go func() {
			for err := error(nil); err == nil && what != "nothing"; _, err = io.WriteString(l.Conn, "x") {
				time.Sleep(50 * time.Millisecond) // a byte now and then
			}
		}()
	}
	for what, l := range open {
		if got, err := l.Rest(); rawstream.IsTimeout(err) {
			t.Errorf("%s: not ended, after %q", what, got)
		}
	}
	s.quiet("slow ones")
	bob.Connect(at, plain, "") // whose wait stands
	s.rob.Presence(bob.JID, "connect")
}

// DS-10, DS-14: a service behind ours that lies about its blocks is disconnected;
// what it has said is the only thing that comes of it.
func TestServicesThatLieAboutSizes(t *testing.T) {
	s := newStreet(t, func(c *dsps.ServerConfig) { c.LingerTimeout = 50 * time.Millisecond })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	behind := func() (at string, l, liar *line) { // a stream of eve's with such a service behind it
		t.Helper()
		id := s.eve.NewID()
		s.eve.Say("dsps.office", "get", id, fmt.Sprintf("<query type='create' xmlns='jabber:iq:dsps'><peer host='127.0.0.1' port='%d'>a@liar/x</peer></query>", ln.Addr().(*net.TCPAddr).Port))
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		liar = rawstream.NewLine(t, c)
		if hello, err := liar.Until('\r'); err != nil || hello != s.eve.JID+" a@liar/x" {
			t.Fatalf("%q, %v", hello, err)
		}
		liar.Put("k1\r")
		at = s.eve.Reply(id).From
		ask := s.eve.Get("a key", func(a answer) bool { return a.Is("get", "create") })
		l = s.eve.Connect(at, plain, "")
		s.eve.Presence(s.eve.JID, "connect")
		s.eve.Say(ask.From, "result", ask.ID, "<query type='create' xmlns='jabber:iq:dsps'>k2</query>")
		s.eve.Presence("a@liar", "connect")
		if k, err := liar.Until('\r'); err != nil || k != "k2" {
			t.Fatalf("%q, %v", k, err)
		}
		return at, l, liar
	}
	for say, comes := range map[string]string{
		"060\r0\rtrue1": "true", "060\r0\rtrueno block": "true", "0400\r0\rshort": "short", "0400\r0": "", "040": "",
		"0" + strings.Repeat("9", 100): "", "099999999999999999990\r": "", "09Z\r0\r": "", "010\rid\r": "", "0-10\r": "", "000\r": "",
		"0990\r" + strings.Repeat("i", 99): "", "0\x00\r": "", "\r\r\r": "", "HTTP/1.1 200 OK\r\n\r\n": "",
	} {
		at, l, liar := behind()
		liar.Put(say)
		if comes != "" {
			l.WantData("1", comes)
		}
		if strings.HasPrefix(say, "040") { // what is missing never comes
			liar.Close()
		}
		s.eve.Presence("a@liar", "waiting")
		s.eve.Drop(at, "a@liar")
		s.eve.Drop(at, s.eve.JID)
		s.eve.Dropped()
		if got, err := l.Rest(); got != "" || rawstream.IsTimeout(err) {
			t.Errorf("after %.30q came %q, %v", say, got, err)
		}
	}
	s.quiet("lies")

	_, l, liar := behind()
	before := heap()
	liar.Put("076\r0\r") // 7 EiB follow
	go func() { _, _ = io.CopyN(liar, rand.NewChaCha8([32]byte{1}), 16<<20) }()
	if n, err := io.CopyN(io.Discard, l, 16<<20); err != nil {
		t.Errorf("%d bytes have come: %v", n, err)
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
	s.quiet("a block without end")
}

// DS-12: a million queries are not answered, keep nothing, and hold up nobody for long.
func TestAMillionQueries(t *testing.T) {
	s := newStreet(t)
	before, began, taken := heap(), time.Now(), 0
	el, err := stanza.Parse([]byte("<iq id='1' type='get' from='"+s.eve.JID+"' to='"+s.own+"'><query type='who' xmlns='jabber:iq:dsps'/></iq>"), "jabber:client", stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s.o.mu.Lock()
	delete(s.o.persons, s.eve.JID) // who does not listen to answers
	s.o.mu.Unlock()
	for range 1_000_000 {
		if s.s.HandleQuery(dsps.JID(s.eve.JID), dsps.JID(s.own), el) {
			taken++
		}
	}
	s.o.mu.Lock()
	answers := 0
	for _, text := range s.o.seen {
		if strings.Contains(text, "type=\"who\"") || strings.Contains(text, "type='who'") {
			answers++
		}
	}
	s.o.mu.Unlock()
	st := s.s.Stats()
	if most := 300 + 50*int(time.Since(began).Seconds()); answers == 0 || answers > most || st.Limited == 0 {
		t.Errorf("%d of a million were answered, %d taken; %+v", answers, taken, st)
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
	if a := s.rob.Query(s.at, "who"); a.Type != "result" || len(a.Query[0].Peers) != 3 {
		t.Errorf("another is answered %+v", a)
	}
	s.quiet("a million queries")
}

// DS-01: noise of every kind, on many connections.
func TestNoise(t *testing.T) {
	s := newStreet(t, func(c *dsps.ServerConfig) { c.HandshakeTimeout = time.Second })
	r := rand.New(rand.NewChaCha8([32]byte{3}))
	words := []string{"GET /DSPS/STREAM/ HTTP/1.0", "starttls", s.rob.JID, s.at, " ", "\r", "\n", "\r\n", "\x00", "0340\r", "Host: x", "\xff\xfe", "k"}
	for range 200 {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
		}
		c, err := net.Dial("tcp", s.s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, b.String())
		c.Close()
	}
	s.quiet("noise")
}
