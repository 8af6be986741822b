package dsps_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/e2e/rawstream"
)

func secrets() *rand.Rand { return rand.New(rand.NewChaCha8([32]byte{7})) }

// DS-01, DS-04, DS-09, DS-10: every way in, and data both ways.
func TestEveryWayIn(t *testing.T) {
	for _, http := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			for _, eol := range []string{"\r", "\n", "\r\n"} {
				m := method{HTTP: http, TLS: secure, EOL: eol}
				t.Run(m.String(), func(t *testing.T) {
					_, o := serve(t)
					rob, bob := o.person("rob@nauseum.org/dspsclient"), o.person("bob@home.org/b")
					at := rob.Create("", "")
					master := rob.Connect(at, plain, "")
					rob.Presence(rob.JID, "connect")
					slave := bob.Connect(rob.Invite(at, bob, bob.JID, "slave", ""), m, "\r\nready")
					master.WantData("1", "\r\nready") // data may begin like the end of a line
					master.Put("\nhello")
					slave.WantData("0", "\nhello")
				})
			}
		}
	}
}

// DS-05: back within wait, another way; what was sent meanwhile is gone.
func TestReconnectAnotherWay(t *testing.T) {
	s, o := serve(t)
	rob, bob := o.person("rob@nauseum.org/dspsclient"), o.person("bob@home.org/b")
	at := rob.Create("", "")
	master := rob.Connect(at, plain, "")
	rob.Presence(rob.JID, "connect")
	to := rob.Invite(at, bob, bob.JID, "slave", "")
	for i, m := range []method{plain, {TLS: true, EOL: "\r"}, {HTTP: true, EOL: "\r\n"}, {HTTP: true, TLS: true, EOL: "\n"}} {
		slave := bob.Connect(to, m, "")
		rob.Presence(bob.JID, "connect")
		want := fmt.Sprintf("part %d", i)
		master.Put(want)
		slave.WantData("0", want) // and it begins with a whole block
		slave.Close()
		rob.Presence(bob.JID, "waiting")
		master.Put("nobody hears this")
		taken(t, s, int64((i+1)*len(want+"nobody hears this")))
	}
}

// taken waits until the server has taken so many bytes.
func taken(t testing.TB, s *dsps.Server, n int64) {
	t.Helper()
	for late := time.Now().Add(rawstream.Patience); s.Stats().Bytes != n; {
		if time.Now().After(late) {
			t.Fatalf("%d bytes were taken, want %d", s.Stats().Bytes, n)
		}
		time.Sleep(time.Millisecond) // poll a counter
	}
}

// DS-04: keys are good once, on their connection, and for their pair.
func TestHandshakesThatFail(t *testing.T) {
	s, o := serve(t)
	rob, bob := o.person("rob@nauseum.org/dspsclient"), o.person("bob@home.org/b")
	at := rob.Create("", "")
	auth := func(p *person, k string) answer {
		return p.Ask(at, "get", "<query type='auth' xmlns='jabber:iq:dsps'>"+k+"</query>")
	}
	hello := func(text string) (*line, string) {
		l := dial(t, s)
		l.Put(text + "\r")
		k, _ := l.Until('\r')
		return l, k
	}
	for _, text := range []string{"", "x", bob.JID + " " + at, rob.JID + " " + at + "x", "starttls\rstarttls", strings.Repeat("x", 10000)} {
		if l, k := hello(text); k != "" && !strings.HasPrefix(text, "starttls") {
			t.Errorf("%.40q got a key", text)
		} else if k == "" {
			l.Ended(text)
		}
	}
	l, k := hello(rob.JID + " " + at)
	if a := auth(rob, "wrong"); a.Error.Code != "401" {
		t.Errorf("a wrong key: %+v", a)
	}
	l.Ended("a wrong key over XML")
	if a := auth(rob, k); a.Error.Code != "401" {
		t.Errorf("an old key: %+v", a)
	}
	l, k = hello(rob.JID + " " + at)
	if a := auth(bob, k); a.Error.Code != "401" {
		t.Errorf("another's key: %+v", a)
	}
	auth(rob, k)
	l.Put(k + "\r")
	l.Ended("a wrong key on the stream")

	rob.Connect(at, plain, "")
	rob.Presence(rob.JID, "connect")
	l, _ = hello(rob.JID + " " + at)
	l.Ended("in use")
	rob.Get("409", func(a answer) bool { return a.Error.Code == "409" })
}

// DS-01: HTTP is one request, which has no body and asks for one thing.
func TestHTTPIsStrict(t *testing.T) {
	s, _ := serve(t)
	const get = "GET /DSPS/STREAM/ HTTP/1.1\r\n"
	for _, request := range []string{
		"GET / HTTP/1.0\r\n\r\n",
		"GET /DSPS/STREAM/../x HTTP/1.0\r\n\r\n",
		get + "Content-Length: 10\r\n\r\nGET / HTTP",
		get + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		get + "Host: a\n\r\n\r\n",
		get + "Host : a\r\n\r\n",
		get + strings.Repeat("X-A: b\r\n", 100) + "\r\n",
	} {
		l := dial(t, s)
		l.Put(request)
		if got, err := l.Rest(); err != nil || got != "HTTP/1.0 401 Unauthorized\r\n\r\n" {
			t.Errorf("%.60q: %q, %v", request, got, err)
		}
	}
	l := dial(t, s)
	l.Put("POST /DSPS/STREAM/ HTTP/1.0\r\n")
	l.Ended("not a request of ours")
}

// DS-01: TLS where there is no certificate, and noise instead of it.
func TestTLSThatFails(t *testing.T) {
	s, _ := serve(t, func(c *dsps.ServerConfig) { c.TLS = nil })
	l := dial(t, s)
	l.Put("starttls\r\x16")
	l.Ended("no TLS here")
	s, _ = serve(t)
	l = dial(t, s)
	l.Put("starttls\r\nnoise noise noise")
	if got, err := l.Rest(); err == nil && len(got) > 7 { // an alert
		t.Errorf("%q", got)
	}
}

// DS-01: handshakes that never finish hold up nobody, and not for long.
func TestHalfOpenHandshakesAreBounded(t *testing.T) {
	s, o := serve(t, func(c *dsps.ServerConfig) { c.HalfOpenEach, c.HandshakeTimeout = 3, 2*time.Second })
	var open []*line
	for _, begin := range []string{"", "GET /DSPS/STREAM/ HTTP/1.0\r\n", "starttls\r"} {
		l := dial(t, s)
		l.Put(begin)
		open = append(open, l)
	}
	over := dial(t, s)
	over.Ended("one too many")
	for _, l := range open {
		l.Ended("too slow")
	}
	if st := s.Stats(); st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	rob := o.person("rob@nauseum.org/dspsclient")
	rob.Connect(rob.Create("", ""), plain, "")
	rob.Presence(rob.JID, "connect")

	s, _ = serve(t, func(c *dsps.ServerConfig) { c.Conns = 1 })
	dial(t, s)
	dial(t, s).Ended("one connection too many")
}

// A crowd is a master and slaves on one stream.
type crowd struct {
	s      *dsps.Server
	o      *post
	rob    *person
	at     string
	master *line
	guests []*person
	places []string // the service's addresses for them
	slaves []*line
}

func newCrowd(t testing.TB, slaves int, m method, attrs string, change ...func(*dsps.ServerConfig)) *crowd {
	t.Helper()
	c := &crowd{}
	c.s, c.o = serve(t, change...)
	c.rob = c.o.person("rob@nauseum.org/dspsclient")
	c.begin(t, slaves, m, attrs, "guest%d@home.org/b")
	return c
}

// another is a second stream of the same master's, with one slave.
func (c *crowd) another(t testing.TB) *crowd {
	t.Helper()
	d := &crowd{s: c.s, o: c.o, rob: c.rob}
	d.begin(t, 1, plain, "", "other%d@home.org/b")
	return d
}

func (c *crowd) begin(t testing.TB, slaves int, m method, attrs, names string) {
	t.Helper()
	c.at = c.rob.Create(attrs, "")
	c.master = c.rob.Connect(c.at, m, "")
	c.rob.Presence(c.rob.JID, "connect")
	for i := range slaves {
		g := c.o.person(fmt.Sprintf(names, i))
		at := c.rob.Invite(c.at, g, g.JID, "slave", "")
		c.guests, c.places = append(c.guests, g), append(c.places, at)
		c.slaves = append(c.slaves, g.Connect(at, m, ""))
		c.rob.Presence(g.JID, "connect")
	}
}

// close breaks all connections.
func (c *crowd) close() {
	c.master.Close()
	for _, l := range c.slaves {
		l.Close()
	}
}

// receive reads the data of all slaves to the end.
func (c *crowd) receive(slow func(i int, w io.Writer) io.Writer) (wait func() [][]byte) {
	var wg sync.WaitGroup
	sums := make([][]byte, len(c.slaves))
	for i, l := range c.slaves {
		wg.Go(func() {
			h := sha256.New()
			if err := l.All(slow(i, h)); err != nil {
				c.o.t.Errorf("slave %d: %v", i, err)
			}
			sums[i] = h.Sum(nil)
		})
	}
	return func() [][]byte { wg.Wait(); return sums }
}

// send writes n random bytes and returns their sum.
func (c *crowd) send(n int64) []byte {
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(c.master.Conn, h), rand.NewChaCha8([32]byte{1}), n); err != nil {
		c.o.t.Error(err)
	}
	return h.Sum(nil)
}

// DS-09, DS-15, DS-17: one upload, eight receivers; the sender closes and drops
// itself at once, one reader is slow, and everybody gets all of it.
func TestOneUploadForEight(t *testing.T) {
	for _, m := range []method{plain, {TLS: true, EOL: "\r"}} {
		c := newCrowd(t, 8, m, "")
		wait := c.receive(func(i int, h io.Writer) io.Writer {
			if i == 3 {
				return &pausing{h.(hash.Hash), 0}
			}
			return h
		})
		want := c.send(8 << 20)
		c.master.Close()
		c.rob.Drop(c.at, c.rob.JID)
		for i, sum := range wait() {
			if !bytes.Equal(sum, want) {
				t.Errorf("%v: slave %d got something else", m, i)
			}
		}
		for _, g := range c.guests {
			g.Dropped()
		}
		if st := c.s.Stats(); st.Bytes != 8<<20 {
			t.Errorf("%+v", st)
		}
	}
}

// pausing gives others time to run ahead at every megabyte.
type pausing struct {
	hash.Hash
	n int
}

func (p *pausing) Write(b []byte) (int, error) {
	if p.n += len(b); p.n > 1<<20 {
		p.n = 0
		<-time.After(2 * time.Millisecond)
	}
	return p.Hash.Write(b)
}

// DS-15: the last master does not close: what it sent before it dropped itself is
// taken all the same.
func TestDropOvertakesData(t *testing.T) {
	c := newCrowd(t, 1, plain, "", func(c *dsps.ServerConfig) { c.LingerTimeout = time.Second })
	wait := c.receive(func(_ int, h io.Writer) io.Writer { return h })
	want := c.send(8 << 20)
	c.rob.Drop(c.at, c.rob.JID)
	if got := wait()[0]; !bytes.Equal(got, want) {
		t.Error("something is missing")
	}
	c.master.Ended("dropped")
}

// DS-09: what whom reaches.
func TestDataByRole(t *testing.T) {
	c := newCrowd(t, 2, plain, "")
	ann := c.o.person("ann@home.org/a")
	other := ann.Connect(c.rob.Invite(c.at, ann, ann.JID, "master", ""), plain, "")
	c.rob.Presence(ann.JID, "connect")
	c.slaves[0].Put("from a slave")
	c.master.WantData("1", "from a slave")
	other.WantData("1", "from a slave")
	other.Put("from ann")
	for _, l := range []*line{c.master, c.slaves[0], c.slaves[1]} {
		l.WantData("3", "from ann") // and the other slave's was not in front of it
	}
}

// DS-11: a reader that stops holds up the stream, which keeps little meanwhile …
func TestReaderThatStopsHoldsUpTheStream(t *testing.T) {
	c := newCrowd(t, 2, plain, "")
	go func() { _, _ = io.Copy(io.Discard, c.slaves[1].Conn) }()
	_ = c.master.SetWriteDeadline(time.Now().Add(time.Second))
	n, err := io.CopyN(c.master.Conn, rand.NewChaCha8([32]byte{1}), 1<<30)
	if !rawstream.IsTimeout(err) || n > 100<<20 { // what socket buffers hold is the system's affair
		t.Errorf("%d MiB were taken with nobody reading, %v", n>>20, err)
	}
}

// … and is cut off in the end.
func TestReaderThatStopsIsCutOff(t *testing.T) {
	c := newCrowd(t, 2, plain, "", func(c *dsps.ServerConfig) { c.Engine.Stall = 2 * time.Second })
	go func() { _, _ = io.Copy(io.Discard, c.slaves[1].Conn) }()
	written := make(chan int64)
	go func() {
		n, _ := io.CopyN(c.master.Conn, rand.NewChaCha8([32]byte{1}), 128<<20)
		written <- n
	}()
	c.rob.Presence(c.guests[0].JID, "waiting")
	if n := <-written; n != 128<<20 {
		t.Errorf("after that only %d bytes could be sent", n)
	}
}

// DS-18: stanzas name no address of a network.
func TestNoAddressesOverXML(t *testing.T) {
	c := newCrowd(t, 2, plain, "maxpublic='3'")
	for _, q := range []string{"who", "stats"} {
		c.rob.Query(c.at, q)
	}
	c.guests[0].Query("dsps.office", "stats")
	c.slaves[0].Close()
	c.rob.Presence(c.guests[0].JID, "waiting")
	c.rob.Drop(c.at, c.guests[1].JID)
	c.guests[1].Dropped()
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	for _, text := range c.o.seen {
		for _, l := range append(c.slaves, c.master) {
			host, port, _ := net.SplitHostPort(l.LocalAddr().String())
			if strings.Contains(text, host) || strings.Contains(text, "'"+port+"'") || strings.Contains(text, ":"+port) {
				t.Errorf("%s:%s stands in %s", host, port, text)
			}
		}
	}
}

// DS-13: anybody joins a public stream by its id, and hears the master.
func TestPublicStreamIsJoined(t *testing.T) {
	c := newCrowd(t, 0, plain, "maxpublic='2'")
	g := c.o.person("guest@home.org/b")
	list := g.Query("dsps.office", "stats")
	public := list.Query[0].Peers[0].JID
	l := g.Connect(g.Join(public, g.NewID()), plain, "")
	c.rob.Presence(g.JID, "connect")
	c.master.Put("radio")
	l.WantData("0", "radio")
}

// DS-14: a chain of three services; the data that went in comes out.
func TestRelayChain(t *testing.T) {
	o := newPost(t)
	var servers []*dsps.Server
	for _, name := range []string{"dsps.office", "dsps.two", "dsps.three"} {
		servers = append(servers, serveWith(t, o, dsps.JID(name)))
	}
	ann := o.person("ann@home.org/a")
	at := ann.Create("", "")
	source := ann.Connect(at, plain, "")
	ann.Presence(ann.JID, "connect")
	bob := o.person("bob@home.org/b")
	next := ann.Invite(at, bob, bob.JID, "master", "") // who joins through the others
	for i, name := range []string{"dsps.two", "dsps.three"} {
		next = bob.Relay(name, next, fmt.Sprintf("host='127.0.0.1' port='%d'", servers[i].Addr().(*net.TCPAddr).Port))
	}
	l := bob.Connect(next, plain, "")
	bob.Get("that it is connected", func(a answer) bool { return a.Word() == "presence" && a.From == next })
	l.Put("from bob") // what has come from there can go there
	source.WantData("1", "from bob")
	source.Put("from ann")
	l.WantData("1", "from ann")
}

// DS-14: a service that is slow to reach does not disturb who has data, nor is it
// looked at while it is being reached (a race, else).
func TestServicesThatAreSlowToReach(t *testing.T) {
	inBubble(t, func(t *testing.T, pipes func(*dsps.ServerConfig)) {
		c := newCrowd(t, 1, plain, "", pipes, func(cfg *dsps.ServerConfig) {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(5 * time.Second)
				ours, theirs := net.Pipe()
				theirs.Close()
				return ours, nil
			}
		})
		defer c.close()
		id := c.rob.NewID()
		c.rob.Say("dsps.office", "get", id, "<query type='create' xmlns='jabber:iq:dsps'><peer>dsps.home/x</peer></query>")
		c.master.Put("meanwhile")
		c.slaves[0].WantData("0", "meanwhile")
		if a := c.rob.Reply(id); a.Error.Code != "504" {
			t.Errorf("%+v", a)
		}
	})
}
