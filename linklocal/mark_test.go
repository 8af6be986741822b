package linklocal

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// tcpPair is a connection with itself.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = conn.(*net.TCPConn), other.(*net.TCPConn)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// SM-12: a stanza is marked when the kernel has taken all of it, and not while
// a part of it waits for a slow peer.
func TestAStanzaIsMarkedOnlyIfAllOfItIsWritten(t *testing.T) {
	near, far := tcpPair(t)
	m := newMarker(near)
	var marks []bool
	mark := func(written bool) { marks = append(marks, written) }
	if n, err := m.writeStanza(m, []byte("short"), mark); n != 5 || err != nil || !slices.Equal(marks, []bool{true}) {
		t.Fatalf("%d bytes, %v, marks %v", n, err, marks)
	}
	marks = nil
	long := bytes.Repeat([]byte("x"), 8<<20)
	m.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := m.writeStanza(m, long, mark)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= len(long) || len(marks) == 0 || marks[len(marks)-1] {
		t.Errorf("%d bytes, %v, marks %v", n, err, marks)
	}
	marks = nil
	m.SetWriteDeadline(time.Time{})
	go io.CopyN(io.Discard, far, int64(5+n+len(long)))
	if n, err := m.writeStanza(m, long, mark); n != len(long) || err != nil || len(marks) < 3 || !marks[len(marks)-1] || marks[1] {
		t.Errorf("%d bytes, %v, marks %v", n, err, marks)
	}
	far.SetLinger(0)
	far.Close()
	for range 100 { // until the reset is here
		if _, err = m.writeStanza(m, []byte("short"), mark); err != nil {
			break
		}
	}
	if !isReset(err) || marks[len(marks)-1] {
		t.Errorf("to a closed connection: %v, marks %v", err, marks)
	}
}

// The mark is there before the peer can have the stanza, also under TLS; one
// that takes several records is marked behind them.
func TestAStanzaIsMarkedBeforeItsPeerHasIt(t *testing.T) {
	conf := TLS{Certificate: certificate()}.config()
	for _, secure := range []bool{false, true} {
		near, far := tcpPair(t)
		m := newMarker(near)
		w, r := io.Writer(m), io.Reader(far)
		if secure {
			server, client := tls.Server(m, conf), tls.Client(far, conf)
			w, r = server, client
			go client.Handshake()
			if err := server.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		for _, size := range []int{100, maxRecord, 3 * maxRecord} {
			marked := make(chan struct{}, 100)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := m.writeStanza(w, make([]byte, size), func(written bool) {
					if written {
						marked <- struct{}{}
					}
				}); err != nil {
					t.Error(err)
				}
			})
			if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			early := len(marked) > 0
			if _, err := io.CopyN(io.Discard, r, int64(size-1)); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if oneWrite := !secure || size <= maxRecord; oneWrite && !early || len(marked) == 0 {
				t.Errorf("TLS %v, %d bytes: marked before it was read: %v; in the end: %v", secure, size, early, len(marked) > 0)
			}
		}
	}
}

// Who reads our header sees the error that follows it, and writes no stanza
// between the two.
func TestPiecesOfTheStreamGoTogether(t *testing.T) {
	out := &outgoing{}
	pieces := []piece{{bytes: []byte("header")}, {bytes: []byte("error")}, {bytes: []byte("one"), out: out}, {bytes: []byte("two"), out: out}, {bytes: []byte("end")}}
	var got []string
	for len(pieces) > 0 {
		var p piece
		p, pieces = first(pieces)
		got = append(got, string(p.bytes))
	}
	if want := []string{"headererror", "one", "two", "end"}; !slices.Equal(got, want) {
		t.Errorf("written: %q, want %q", got, want)
	}
}

// What a peer has read before it closed is the kernel's count: a stanza that is
// being written at that moment, of which the kernel knows and we do not yet,
// makes it no less.
func TestWhatAPeerHasReadDoesNotDependOnWhoIsWriting(t *testing.T) {
	for name, called := range map[string]bool{"we called": true, "the peer called": false} {
		t.Run(name, func(t *testing.T) {
			near, far := tcpPair(t)
			if !called {
				near, far = far, near
			}
			m := newMarker(near)
			if _, err := m.writeStanza(m, []byte("one"), func(bool) {}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(far, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			far.Close()
			if _, err := m.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("read: %v", err)
			}
			if _, err := near.Write([]byte("two, which nobody reads")); err != nil {
				t.Fatal(err)
			}
			m.readEnded(io.EOF)
			if m.acked != 3 {
				t.Errorf("the peer has read %d bytes, want 3", m.acked)
			}
		})
	}
}
