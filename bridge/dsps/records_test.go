package dsps

import (
	"bytes"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// A readConn is a connection that can be read.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func TestRecordsAreReadOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		ends := map[int]bool{}
		for _, size := range rapid.SliceOf(rapid.IntRange(0, 700)).Draw(t, "records") {
			wire = append(wire, 23, 3, 3, byte(size>>8), byte(size))
			wire = append(wire, make([]byte, size)...)
			ends[len(wire)] = true
		}
		sizes := rapid.SampledFrom([]int{1, 4, 5, 6, 100, 1000, 1 << 20})
		from := &trickle{wire, func() int { return sizes.Draw(t, "piece") }}
		r := &records{Conn: readConn{Reader: from}}
		got, b := []byte(nil), make([]byte, 2000)
		for {
			before := len(got)
			n, err := r.Read(b[:min(len(b), sizes.Draw(t, "buffer"))])
			got = append(got, b[:n]...)
			for at := before + 1; at < len(got); at++ {
				if ends[at] {
					t.Fatalf("a read from %d to %d passes the end of a record at %d", before, len(got), at)
				}
			}
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, wire) {
			t.Fatalf("%d bytes of %d, or others", len(got), len(wire))
		}
	})
}
