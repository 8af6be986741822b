package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipe returns both ends of a connection through a proxy on this machine.
func pipe(t *testing.T) (p *Proxy, client, server net.Conn) {
	t.Helper()
	h := Local(t)
	ln, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	p = h.Proxy(ln.Addr().String())
	if client, err = h.Dial(t.Context(), "tcp", p.Addr()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitConns(1)
	return p, client, server
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b, err, want)
	}
}

func TestProxyPassesOnAndEndsBothSides(t *testing.T) {
	t.Parallel()
	for _, how := range []Cut{RST, FIN} {
		t.Run(how.String(), func(t *testing.T) {
			t.Parallel()
			p, client, server := pipe(t)
			write(t, client, "ping")
			wantRead(t, server, "ping")
			write(t, server, "pong")
			wantRead(t, client, "pong")
			p.Cut(how)
			if how == FIN { // half of it still takes what the client sends
				write(t, client, strings.Repeat("unheard", 1<<16))
			}
			for name, c := range map[string]net.Conn{"client": client, "server": server} {
				_, err := c.Read(make([]byte, 1))
				if reset := errors.Is(err, syscall.ECONNRESET); reset != (how == RST) || !reset && err != io.EOF {
					t.Errorf("%s: %v", name, err)
				}
				c.Close()
			}
			p.AwaitOpen(0)
			if p.Bytes(Up) != 4 || p.Bytes(Down) != 4 || p.Conns() != 1 {
				t.Errorf("%d bytes up, %d down, %d connections", p.Bytes(Up), p.Bytes(Down), p.Conns())
			}
		})
	}
}

func TestProxyPassesAHalfClose(t *testing.T) {
	t.Parallel()
	p, client, server := pipe(t)
	big := strings.Repeat("x", 3<<20)
	go func() { // fills the pipe while nobody reads; its end shows in what arrives
		client.Write([]byte(big))
		client.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || len(got) != len(big) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(big), err)
	}
	write(t, server, "the answer")
	wantRead(t, client, "the answer")
	server.Close()
	p.AwaitOpen(0)
}

func TestProxyCutsAfterTheNthByte(t *testing.T) {
	t.Parallel()
	p, client, server := pipe(t)
	write(t, client, "first")
	wantRead(t, server, "first")
	p.CutAfter(3, Up)
	write(t, client, "second")
	p.AwaitOpen(0)
	if n := p.Bytes(Up); n != 8 {
		t.Errorf("%d bytes passed, want 8", n)
	}
	got, err := io.ReadAll(server)
	if !errors.Is(err, syscall.ECONNRESET) || !bytes.HasPrefix([]byte("sec"), got) {
		t.Errorf("server read %q, %v", got, err)
	}
}

func TestProxyHoldsBackOneDirection(t *testing.T) {
	t.Parallel()
	p, client, server := pipe(t)
	p.Stall(Up)
	write(t, client, "held")
	write(t, server, "passes")
	wantRead(t, client, "passes")
	if n := p.Bytes(Up); n != 0 {
		t.Errorf("%d bytes passed a stalled direction", n)
	}
	p.Resume(Up)
	wantRead(t, server, "held")

	p.Stall(Down)
	write(t, server, "never")
	p.Cut(RST)
	if n, err := client.Read(make([]byte, 10)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client read %d bytes, %v", n, err)
	}
}

func TestProxyDelaysAndRefuses(t *testing.T) {
	t.Parallel()
	p, client, server := pipe(t)
	const late = 50 * time.Millisecond
	p.Delay(Down, late)
	begin := time.Now()
	write(t, server, "late")
	wantRead(t, client, "late")
	if took := time.Since(begin); took < late {
		t.Errorf("arrived after %v, want at least %v", took, late)
	}
	p.Refuse(true)
	c, err := p.host.Dial(t.Context(), "tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a refused connection: %v", err)
	}
	if p.Conns() != 1 {
		t.Errorf("%d connections, want 1", p.Conns())
	}
}

// After a silent drop nobody learns of anything, and a new connection is as new.
func TestProxyDropsInSilence(t *testing.T) {
	t.Parallel()
	p, client, server := pipe(t)
	p.Cut(Silent)
	write(t, client, "unheard")
	client.Close()
	again, err := p.host.Dial(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	write(t, again, "heard")
	p.AwaitBytes(5, Up)
	p.Cut(RST) // not of what has gone silent
	p.AwaitOpen(1)
	if n := p.Bytes(Up); n != 5 {
		t.Errorf("%d bytes have passed, want those of the new connection, 5", n)
	}
	p.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server has learnt of the end: %v", err)
	}
}

func TestProxyInAHostCutsAnXMPPSession(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	s := h1.Prosody(twoUsers())
	p := h1.Proxy(s.LoopbackAddr())
	alice := h2.Remote(s, "alice", RemoteOptions{Addr: p.Addr(), Reconnect: true})
	p.Cut(RST)
	alice.Await("the end of the connection", func(e Event) bool { return e.Ev == "disconnected" })
	alice.AwaitSession()
	if p.Conns() != 2 {
		t.Errorf("%d connections, want 2", p.Conns())
	}
}
