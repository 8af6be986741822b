package dsps_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// drainBlocks reads blocks as fast as can be: sizes are followed, data is not looked at.
func (l *line) drainBlocks() {
	buf := make([]byte, 256<<10)
	for {
		if _, err := l.Conn.Read(buf); err != nil {
			return
		}
	}
}

func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCrowd(b, n, plain, "")
			var wg sync.WaitGroup
			for _, l := range c.slaves {
				wg.Go(l.drainBlocks)
			}
			piece := make([]byte, 256<<10)
			rand.Read(piece)
			b.SetBytes(int64(len(piece) * n))
			for b.Loop() {
				if _, err := c.master.Conn.Write(piece); err != nil {
					b.Fatal(err)
				}
			}
			c.master.Close()
			c.rob.drop(c.at, c.rob.jid)
			wg.Wait()
		})
	}
}

// BenchmarkPlainRelay is the yardstick: io.Copy between two connections.
func BenchmarkPlainRelay(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	pair := func() (net.Conn, net.Conn) {
		a, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		return a, c
	}
	source, in := pair()
	sink, out := pair()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
	wg.Go(func() { (&line{Conn: sink}).drainBlocks() })
	piece := make([]byte, 256<<10)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		if _, err := source.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	source.Close()
	wg.Wait()
}
