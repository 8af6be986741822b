package rawstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Method is a way to connect, and how lines end on it.
type Method struct {
	HTTP, TLS bool
	EOL       string
}

// Plain is the default method.
var Plain = Method{EOL: "\r"}

func (m Method) String() string { return fmt.Sprintf("http=%v tls=%v eol=%q", m.HTTP, m.TLS, m.EOL) }

// A Line is a connection to a service.
type Line struct {
	net.Conn
	tb testing.TB
	r  *bufio.Reader
}

// NewLine is one that nothing was said on yet. It is closed when the test ends.
func NewLine(tb testing.TB, c net.Conn) *Line {
	tb.Cleanup(func() { c.Close() })
	return &Line{c, tb, bufio.NewReader(c)}
}

// Put writes.
func (l *Line) Put(s string) {
	l.tb.Helper()
	if _, err := io.WriteString(l.Conn, s); err != nil {
		l.tb.Error(err)
	}
}

// Until reads up to a byte, which it leaves out.
func (l *Line) Until(end byte) (string, error) {
	_ = l.SetReadDeadline(time.Now().Add(Patience))
	defer func() { _ = l.SetReadDeadline(time.Time{}) }()
	s, err := l.r.ReadString(end)
	return strings.TrimSuffix(s, string(end)), err
}

// Rest reads up to the end.
func (l *Line) Rest() (string, error) {
	_ = l.SetReadDeadline(time.Now().Add(Patience))
	b, err := io.ReadAll(l.r)
	return string(b), err
}

// Ended waits for the end of the connection.
func (l *Line) Ended(why string) {
	l.tb.Helper()
	if s, err := l.Until(0); err == nil || IsTimeout(err) {
		l.tb.Errorf("%s: %q, %v instead of the end", why, s, err)
	}
}

// IsTimeout reports whether an error is a deadline's.
func IsTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// preamble goes through HTTP and TLS.
func (l *Line) preamble(m Method) error {
	if m.HTTP {
		if _, err := io.WriteString(l.Conn, "GET /DSPS/STREAM/ HTTP/1.0"+m.EOL+"Host: dsps.server"+m.EOL+m.EOL); err != nil {
			return err
		}
		want := "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(l.r, got); err != nil || string(got) != want {
			return fmt.Errorf("HTTP: %q, %w", got, err)
		}
	}
	if m.TLS {
		if _, err := io.WriteString(l.Conn, "starttls"+m.EOL); err != nil {
			return err
		}
		c := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			return err
		}
		l.Conn, l.r = c, bufio.NewReader(c)
	}
	return nil
}

// Connect goes through the whole handshake, with data right behind it.
func (p *Person) Connect(at string, m Method, data string) *Line {
	p.tb.Helper()
	l, err := p.connect(at, m, data)
	if err != nil {
		p.tb.Fatalf("%s connects to %s, %v: %v", p.JID, at, m, err)
	}
	return l
}

func (p *Person) connect(at string, m Method, data string) (*Line, error) {
	l, k, err := p.Hello(at, m)
	if err != nil {
		return nil, err
	}
	next, err := p.NextKey(at, k)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(l.Conn, next+m.EOL+data)
	return l, err
}

// Hello connects and says for which address; it returns the key that comes.
func (p *Person) Hello(at string, m Method) (*Line, string, error) {
	c, err := p.Dial(at, p.places[at])
	if err != nil {
		return nil, "", err
	}
	l := NewLine(p.tb, c)
	_ = c.SetDeadline(time.Now().Add(Patience))
	if err := l.preamble(m); err != nil {
		return l, "", err
	}
	if _, err := io.WriteString(l.Conn, p.JID+" "+at+m.EOL); err != nil {
		return l, "", err
	}
	k, err := l.Until('\r')
	_ = c.SetDeadline(time.Time{})
	return l, k, err
}

// Block reads one block, as the document describes it.
func (l *Line) Block() (id string, data []byte, err error) {
	size, err := l.r.ReadString('\r')
	if err != nil {
		if size != "" {
			err = io.ErrUnexpectedEOF
		}
		return "", nil, err
	}
	size = strings.TrimSuffix(size, "\r")
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

// WantData reads until so much has come, from one peer.
func (l *Line) WantData(from, want string) {
	l.tb.Helper()
	_ = l.SetReadDeadline(time.Now().Add(Patience))
	defer func() { _ = l.SetReadDeadline(time.Time{}) }()
	got := ""
	for len(got) < len(want) {
		id, data, err := l.Block()
		if err != nil || id != from {
			l.tb.Fatalf("a block of %q with %q: %v", id, data, err)
		}
		got += string(data)
	}
	if got != want {
		l.tb.Errorf("got %q, want %q", got, want)
	}
}

// All copies the data of blocks to w, up to the end of the connection. It may be
// called from any goroutine.
func (l *Line) All(w io.Writer) error {
	for {
		_ = l.SetReadDeadline(time.Now().Add(Patience))
		_, data, err := l.Block()
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
