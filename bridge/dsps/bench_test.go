package dsps_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// drainBlocks reads blocks as fast as can be: sizes are followed, data is not looked at.
func drainBlocks(c net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		if _, err := c.Read(buf); err != nil {
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
				wg.Go(func() { drainBlocks(l) })
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
			c.rob.Drop(c.at, c.rob.JID)
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
	wg.Go(func() { drainBlocks(sink) })
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

// BenchmarkMemory says what connected peers cost, heap and stacks, those of the
// test's own ends included: idle ones, and those of a stream that is full because
// nobody reads.
func BenchmarkMemory(b *testing.B) {
	for _, m := range []method{plain, {TLS: true, EOL: "\r"}} {
		for _, full := range []bool{false, true} {
			b.Run(fmt.Sprintf("tls=%v/full=%v", m.TLS, full), func(b *testing.B) {
				before := inUse()
				c := newCrowd(b, 40, m, "")
				if full {
					piece := make([]byte, 1<<20)
					_ = c.master.Conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
					for range 100 {
						if _, err := c.master.Conn.Write(piece); err != nil {
							break
						}
					}
				}
				for b.Loop() {
				}
				b.ReportMetric(float64(inUse()-before)/41/1024, "KiB/peer")
			})
		}
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
