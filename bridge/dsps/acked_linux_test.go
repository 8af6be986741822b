package dsps

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// DS-11, DS-12: what counts is what the peer has got, and not what is in buffers on the
// way to it; and while something is in them, it is waited for.
func TestProgressIsWhatThePeerHasGot(t *testing.T) {
	const size = 64 << 10
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	reader, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.(*net.TCPConn).SetWriteBuffer(4 * size); err != nil {
		t.Fatal(err)
	}
	l := newLink(writer, 0, 0)
	l.attach(newHose("", &sync.Pool{}, &atomic.Int64{}), Action{})
	at, total := l.last.at, int64(0)
	progress := func(after, want time.Duration) {
		t.Helper()
		at = at.Add(after)
		bytes, waited := l.progress(at)
		total += bytes
		if waited != want {
			t.Errorf("waited for %v, want %v", waited, want)
		}
	}
	if _, err := writer.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	progress(time.Second, 0)
	progress(2*time.Second, 2*time.Second)
	if total >= size/2 {
		t.Errorf("%d bytes are said to be there", total)
	}
	if _, err := io.ReadFull(reader, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	for waiting := int64(1); waiting > 0; time.Sleep(time.Millisecond) { // poll the kernel
		_, waiting, _ = acknowledged(writer)
	}
	progress(time.Second, 0)
	progress(time.Second, 0)
	if total != size {
		t.Errorf("%d bytes in all, of %d", total, size)
	}
}
