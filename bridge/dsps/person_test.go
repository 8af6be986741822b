package dsps_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/selfsigned"
	"meshgate/internal/stanza"
)

// This is a client written from the document alone, with sockets and with
// stanzas as text: what it and the server agree on is not a reading they share.

const patience = 30 * time.Second // with what must come

// A post office carries stanzas between persons and services.
type post struct {
	t    testing.TB
	mu   sync.Mutex
	to   map[string]chan answer
	seen []string // all that services said
}

// An answer is a stanza of a service.
type answer struct {
	XMLName xml.Name
	Type    string `xml:"type,attr"`
	ID      string `xml:"id,attr"`
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Query   []struct {
		Type     string `xml:"type,attr"`
		Wait     string `xml:"wait,attr"`
		Host     string `xml:"host,attr"`
		Port     string `xml:"port,attr"`
		Status   string `xml:"status,attr"`
		PublicID string `xml:"publicid"`
		Body     string `xml:",chardata"`
		Peers    []struct {
			JID         string `xml:",chardata"`
			Type        string `xml:"type,attr"`
			ID          string `xml:"id,attr"`
			Status      string `xml:"status,attr"`
			Acknowledge string `xml:"acknowledge,attr"`
		} `xml:"peer"`
		Comments []struct {
			Inner string `xml:",innerxml"`
		} `xml:"comment"`
	} `xml:"query"`
	Error struct {
		Code string `xml:"code,attr"`
	} `xml:"error"`
}

func (a answer) query() string {
	if len(a.Query) == 0 {
		return ""
	}
	return a.Query[0].Type
}

// SendIQ makes it a dsps.Sender.
func (o *post) SendIQ(iq *stanza.Element) {
	text := iq.String()
	var a answer
	if err := xml.Unmarshal([]byte(text), &a); err != nil {
		o.t.Errorf("%v in %s", err, text)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, text)
	if c := o.to[a.To]; c != nil {
		select {
		case c <- a:
		default:
			o.t.Errorf("%s does not read its stanzas", a.To)
		}
	}
}

// A person is somebody with a full JID.
type person struct {
	t    testing.TB
	jid  string
	srv  *dsps.Server
	in   chan answer
	kept []answer
	ids  int
}

// serve runs a server for the length of a test.
func serve(t testing.TB, change ...func(*dsps.ServerConfig)) (*dsps.Server, *post) {
	o := &post{t: t, to: map[string]chan answer{}}
	return serveWith(t, o, "dsps.office", change...), o
}

func serveWith(t testing.TB, o *post, name dsps.JID, change ...func(*dsps.ServerConfig)) *dsps.Server {
	all := func(dsps.JID) bool { return true }
	cfg := dsps.ServerConfig{Listen: "127.0.0.1:0", TLS: certificate(t)}
	cfg.Engine.Rand = secrets()
	cfg.Engine.Host = "gate.office"
	cfg.Engine.Addresses = dsps.Resources{Bare: name, Rand: cfg.Engine.Rand}
	cfg.Engine.Policy = dsps.Policy{
		MayCreate: all, MayJoin: all, MayInvite: func(_, _ dsps.JID) bool { return true },
		MayRelay: func(dsps.JID, dsps.Dest) bool { return true },
	}
	for _, f := range change {
		f(&cfg)
	}
	s := dsps.NewServer(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if cfg.Listen != "none" {
		s.Addr()
	}
	return s
}

var certOnce = sync.OnceValues(func() (tls.Certificate, error) { return selfsigned.New(time.Now()) })

func certificate(t testing.TB) *tls.Config {
	cert, err := certOnce()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func (o *post) person(s *dsps.Server, jid string) *person {
	p := &person{t: o.t, jid: jid, srv: s, in: make(chan answer, 100)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to[jid] = p.in
	return p
}

// say sends a stanza as text.
func (p *person) say(to, typ, id, inner string) {
	p.t.Helper()
	text := fmt.Sprintf("<iq id='%s' type='%s' from='%s' to='%s'>%s</iq>", id, typ, p.jid, to, inner)
	el, err := stanza.Parse([]byte(text), "jabber:client", stanza.Limits{})
	if err != nil {
		p.t.Fatalf("%v in %s", err, text)
	}
	if !p.srv.HandleQuery(dsps.JID(p.jid), dsps.JID(to), el) {
		p.t.Error("the server takes no more stanzas")
	}
}

func (p *person) id() string {
	p.ids++
	return "dsps" + strconv.Itoa(p.ids)
}

// get waits for a stanza that fits; others are kept for later.
func (p *person) get(what string, fits func(answer) bool) answer {
	p.t.Helper()
	for i, a := range p.kept {
		if fits(a) {
			p.kept = append(p.kept[:i:i], p.kept[i+1:]...)
			return a
		}
	}
	for late := time.After(patience); ; {
		select {
		case a := <-p.in:
			if fits(a) {
				return a
			}
			p.kept = append(p.kept, a)
		case <-late:
			p.t.Fatalf("%s waits for %s; there is %+v", p.jid, what, p.kept)
		}
	}
}

func (p *person) reply(id string) answer {
	p.t.Helper()
	return p.get("the answer to "+id, func(a answer) bool { return a.ID == id && (a.Type == "result" || a.Type == "error") })
}

func (p *person) ask(to, typ, inner string) answer {
	p.t.Helper()
	id := p.id()
	p.say(to, typ, id, inner)
	return p.reply(id)
}

// create makes a stream and returns the service's address for it.
func (p *person) create(attrs, inner string) string {
	p.t.Helper()
	a := p.ask("dsps.office", "get", "<query type='create' xmlns='jabber:iq:dsps' "+attrs+">"+inner+"</query>")
	if a.Type != "result" {
		p.t.Fatalf("create: %+v", a)
	}
	return a.From
}

// invite has guest join at its first address there; it returns guest's address.
func (p *person) invite(at string, guest *person, right, comment string) string {
	p.t.Helper()
	p.ask(at, "set", "<query type='admin' xmlns='jabber:iq:dsps' expire='20000' wait='60000'>"+comment+"<peer type='"+right+"'>"+guest.jid+"</peer></query>")
	inv := guest.get("an invitation", func(a answer) bool { return a.Type == "get" && a.query() == "acknowledge" })
	if inv.Query[0].Status != right || inv.Query[0].Peers[0].JID != p.jid {
		p.t.Errorf("invitation %+v", inv)
	}
	guest.say(inv.From, "result", inv.ID, "<query type='acknowledge' xmlns='jabber:iq:dsps' status='connect'/>")
	return guest.reply(inv.ID).From
}

func (p *person) drop(at, whom string) {
	p.t.Helper()
	p.ask(at, "set", "<query type='admin' xmlns='jabber:iq:dsps'><peer type='drop'>"+whom+"</peer></query>")
}

func (p *person) dropped() {
	p.t.Helper()
	p.get("its drop", func(a answer) bool { return a.query() == "acknowledge" && a.Query[0].Status == "drop" })
}

// presence waits for a change of a peer.
func (p *person) presence(jid, status string) {
	p.t.Helper()
	p.get(jid+" "+status, func(a answer) bool {
		return a.Type == "set" && a.query() == "presence" && a.Query[0].Peers[0].JID == jid && a.Query[0].Peers[0].Status == status
	})
}

// A method is a way to connect, and how lines end on it.
type method struct {
	http, tls bool
	eol       string
}

var plain = method{eol: "\r"}

func (m method) String() string { return fmt.Sprintf("http=%v tls=%v eol=%q", m.http, m.tls, m.eol) }

// A line is a connection to a stream.
type line struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, s *dsps.Server) *line {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &line{c, t, bufio.NewReader(c)}
}

func (l *line) put(s string) {
	l.t.Helper()
	if _, err := io.WriteString(l.Conn, s); err != nil {
		l.t.Error(err)
	}
}

// until reads up to a byte, which it leaves out.
func (l *line) until(end byte) (string, error) {
	_ = l.SetReadDeadline(time.Now().Add(patience))
	defer func() { _ = l.SetReadDeadline(time.Time{}) }()
	s, err := l.r.ReadString(end)
	return strings.TrimSuffix(s, string(end)), err
}

// ended waits for the end of the connection.
func (l *line) ended(why string) {
	l.t.Helper()
	if s, err := l.until(0); err == nil || isTimeout(err) {
		l.t.Errorf("%s: %q, %v instead of the end", why, s, err)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// preamble goes through HTTP and TLS.
func (l *line) preamble(m method) {
	l.t.Helper()
	if m.http {
		l.put("GET /DSPS/STREAM/ HTTP/1.0" + m.eol + "Host: dsps.server" + m.eol + m.eol)
		want := "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(l.r, got); err != nil || string(got) != want {
			l.t.Fatalf("HTTP: %q, %v", got, err)
		}
	}
	if m.tls {
		l.put("starttls" + m.eol)
		c := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			l.t.Fatal(err)
		}
		l.Conn, l.r = c, bufio.NewReader(c)
	}
}

// connect goes through the whole handshake, with data right behind it.
func (p *person) connect(at string, m method, data string) *line {
	p.t.Helper()
	l := dial(p.t, p.srv)
	l.preamble(m)
	l.put(p.jid + " " + at + m.eol)
	k, err := l.until('\r')
	if err != nil {
		p.t.Fatalf("%s, %v: no key: %v", p.jid, m, err)
	}
	a := p.ask(at, "get", "<query type='auth' xmlns='jabber:iq:dsps'>"+k+"</query>")
	if a.Type != "result" {
		p.t.Fatalf("key: %+v", a)
	}
	l.put(a.Query[0].Body + m.eol + data)
	return l
}

// block reads one block, as the document describes it.
func (l *line) block() (id string, data []byte, err error) {
	size, err := l.until('\r')
	if err != nil {
		return "", nil, err
	}
	if len(size) < 3 || size[0] != '0' {
		return "", nil, fmt.Errorf("a block begins %q", size)
	}
	power, err := strconv.ParseUint(size[len(size)-1:], 36, 8)
	if err != nil {
		return "", nil, err
	}
	n, err := strconv.Atoi(size[1 : len(size)-1])
	for range power {
		n *= 1024
	}
	if err != nil {
		return "", nil, err
	}
	rest := make([]byte, n)
	if _, err := io.ReadFull(l.r, rest); err != nil {
		return "", nil, err
	}
	id, text, _ := strings.Cut(string(rest), "\r")
	return id, []byte(text), nil
}

// wantData reads until so much has come, from one peer.
func (l *line) wantData(from, want string) {
	l.t.Helper()
	got := ""
	for len(got) < len(want) {
		id, data, err := l.block()
		if err != nil || id != from {
			l.t.Fatalf("a block of %q: %v", id, err)
		}
		got += string(data)
	}
	if got != want {
		l.t.Errorf("got %q, want %q", got, want)
	}
}

// all copies the data of blocks to w, up to the end of the connection.
func (l *line) all(w io.Writer) error {
	for {
		_, data, err := l.block()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
}
