package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Limits of what a proxy holds back for each direction of a connection.
const (
	proxyChunk  = 16 << 10 // bytes of one piece
	proxyPieces = 256      // pieces on their way
)

// A Direction is one of a connection's two.
type Direction int

// The directions of a proxied connection.
const (
	Up   Direction = iota // from the client to the server
	Down                  // from the server to the client
)

func (d Direction) String() string { return [...]string{"up", "down"}[d] }

// A Cut is a way to end a connection.
type Cut int

// The ways to end a connection.
const (
	RST    Cut = iota // at once, what is on its way is lost
	FIN               // in order, as far as TCP knows; what was passed on arrives
	Silent            // nothing passes any more, and nobody is told, whatever the other side does
)

func (c Cut) String() string { return [...]string{"RST", "FIN", "silent"}[c] }

// A Proxy passes TCP connections on to a server, and harms them as the test
// says. It runs in the process of the test; its methods are safe from any
// goroutine, but those that wait belong to the test's.
type Proxy struct {
	tb     TB
	host   *Host
	target string
	ln     net.Listener
	work   sync.WaitGroup
	cancel context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	links   map[*link]bool
	total   int
	refuse  bool
	stalled [2]bool
	delay   [2]time.Duration
	bytes   [2]int64
	cutAt   [2]int64 // total of bytes at which RST comes; negative: never
}

// A link is one proxied connection: its client and its server side.
type link struct {
	ends [2]*net.TCPConn // [Up] is where what goes up comes from: the client
	down chan struct{}   // closed when it is over
	once sync.Once

	silent bool // guarded by Proxy.mu: nothing passes any more
}

func (l *link) from(d Direction) *net.TCPConn { return l.ends[d] }
func (l *link) to(d Direction) *net.TCPConn   { return l.ends[1-d] }

// Proxy listens on a free port of the host and passes connections on to the
// target, both in the host's network, until the test ends.
func (h *Host) Proxy(target string) *Proxy {
	h.tb.Helper()
	ln, err := h.Listen(h.addr.String() + ":0")
	if err != nil {
		h.tb.Fatalf("e2e: proxy: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		tb: h.tb, host: h, target: target, ln: ln, cancel: cancel,
		changed: make(chan struct{}), links: make(map[*link]bool), cutAt: [2]int64{-1, -1},
	}
	p.work.Go(func() { p.accept(ctx) })
	h.tb.Cleanup(p.Close)
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Port is the port of Addr.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// change runs f with the state locked and wakes all who wait.
func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return // closed
		}
		p.work.Go(func() { p.serve(ctx, c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(ctx context.Context, client *net.TCPConn) {
	defer client.Close()
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		_ = client.SetLinger(0) // harmless where it fails
		return
	}
	c, err := p.host.Dial(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees the end
	}
	defer c.Close()
	l := &link{ends: [2]*net.TCPConn{client, c.(*net.TCPConn)}, down: make(chan struct{})}
	p.change(func() { p.links[l] = true; p.total++ })
	defer p.change(func() { delete(p.links, l) })
	if ctx.Err() != nil {
		return // Close may have looked before the link was there
	}
	var pumps sync.WaitGroup
	for _, d := range []Direction{Up, Down} {
		pieces := make(chan piece, proxyPieces)
		pumps.Go(func() { p.read(l, d, pieces) })
		pumps.Go(func() { p.write(l, d, pieces) })
	}
	pumps.Wait()
}

// A piece is some bytes on their way, or with none of them their end.
type piece struct {
	at time.Time // when they were read
	b  []byte
}

// read takes what a side sends until it ends.
func (p *Proxy) read(l *link, d Direction, pieces chan<- piece) {
	defer close(pieces)
	for {
		b := make([]byte, proxyChunk)
		QuickAck(l.from(d)) // or a server with Nagle's algorithm feels that there is a proxy
		n, err := l.from(d).Read(b)
		if n > 0 {
			select {
			case pieces <- piece{time.Now(), b[:n]}:
			case <-l.down:
				// After FIN both sides may still send: nobody hears it, and
				// a close with bytes unread would be a reset.
				_, _ = io.Copy(io.Discard, l.from(d))
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.lost(l)
			return
		}
	}
}

// lost ends a connection of which one side is gone, unless nobody may learn of
// it.
func (p *Proxy) lost(l *link) {
	p.mu.Lock()
	silent := l.silent
	p.mu.Unlock()
	if !silent {
		l.end(RST)
	}
}

// write passes on what read took, when it may.
func (p *Proxy) write(l *link, d Direction, pieces <-chan piece) {
	for pc := range pieces {
		for len(pc.b) > 0 {
			n, cut := p.admit(l, d, pc)
			if n > 0 {
				if _, err := l.to(d).Write(pc.b[:n]); err != nil {
					l.end(RST)
					return
				}
				QuickAck(l.to(d)) // to write puts the kernel back to acknowledging late
				pc.b = pc.b[n:]
			}
			if cut {
				l.end(RST)
				return
			}
			if n == 0 {
				return // over
			}
		}
	}
	if p.mayPass(l, d) {
		_ = l.to(d).CloseWrite() // fails only when the other side is gone
	}
}

// admit waits until a piece may go on and says how much of it, and whether the
// connection is then to be cut. Nothing means that the connection is over.
func (p *Proxy) admit(l *link, d Direction, pc piece) (n int, cut bool) {
	if !p.mayPass(l, d) || !p.late(l, d, pc.at) || !p.mayPass(l, d) {
		return 0, false
	}
	p.change(func() {
		n = len(pc.b)
		if at := p.cutAt[d]; at >= 0 && p.bytes[d]+int64(n) >= at {
			n, cut = int(max(0, at-p.bytes[d])), true
			p.cutAt[d] = -1
		}
		// Counted before they are written: whoever has received them and then
		// says CutAfter means the bytes behind them.
		p.bytes[d] += int64(n)
	})
	return n, cut
}

// mayPass waits while the direction is stalled; false: the connection is over.
func (p *Proxy) mayPass(l *link, d Direction) bool {
	for {
		p.mu.Lock()
		stalled, changed := p.stalled[d] || l.silent, p.changed
		p.mu.Unlock()
		select {
		case <-l.down:
			return false
		default:
		}
		if !stalled {
			return true
		}
		select {
		case <-l.down:
			return false
		case <-changed:
		}
	}
}

// late waits until the direction's delay has passed since a moment.
func (p *Proxy) late(l *link, d Direction, since time.Time) bool {
	p.mu.Lock()
	delay := p.delay[d]
	p.mu.Unlock()
	if delay == 0 {
		return true
	}
	wait := time.NewTimer(time.Until(since.Add(delay)))
	defer wait.Stop()
	select {
	case <-l.down:
		return false
	case <-wait.C:
		return true
	}
}

// end ends both sides of the connection, once.
func (l *link) end(how Cut) {
	l.once.Do(func() {
		close(l.down)
		for _, c := range l.ends {
			// None of these can fail on a connection that is still there.
			switch how {
			case RST:
				_ = c.SetLinger(0)
				_ = c.Close()
			case FIN:
				_ = c.CloseWrite() // Close follows when both sides have ended
			}
		}
	})
}

// Cut ends every connection now.
func (p *Proxy) Cut(how Cut) {
	p.change(func() {
		for l := range p.links {
			if how == Silent {
				l.silent = true
			} else if !l.silent {
				l.end(how)
			}
		}
	})
}

// CutAfter resets the connection that passes on the nth byte from now in that
// direction; that byte is the last to arrive.
func (p *Proxy) CutAfter(n int64, d Direction) { p.change(func() { p.cutAt[d] = p.bytes[d] + n }) }

// Stall holds a direction back, as a network that loses everything does: what
// was sent arrives after Resume, unless the connection ends before. Connections
// made meanwhile are held too.
func (p *Proxy) Stall(d Direction) { p.change(func() { p.stalled[d] = true }) }

// Resume lets a stalled direction go on.
func (p *Proxy) Resume(d Direction) { p.change(func() { p.stalled[d] = false }) }

// Delay makes each piece in that direction late by so much from now on.
func (p *Proxy) Delay(d Direction, by time.Duration) { p.change(func() { p.delay[d] = by }) }

// Refuse resets every new connection, or no more.
func (p *Proxy) Refuse(on bool) { p.change(func() { p.refuse = on }) }

// Bytes is how many bytes have been passed on in that direction.
func (p *Proxy) Bytes(d Direction) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes[d]
}

// Conns is how many connections have been made in all; Open how many there are.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Open is how many connections there are now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// AwaitConns waits until n connections have been made in all.
func (p *Proxy) AwaitConns(n int) {
	p.tb.Helper()
	p.awaitState(fmt.Sprintf("connection %d", n), func() bool { return p.total >= n })
}

// AwaitOpen waits until there are exactly n connections.
func (p *Proxy) AwaitOpen(n int) {
	p.tb.Helper()
	p.awaitState(fmt.Sprintf("%d open connections", n), func() bool { return len(p.links) == n })
}

// AwaitBytes waits until so many bytes in all have been passed on.
func (p *Proxy) AwaitBytes(n int64, d Direction) {
	p.tb.Helper()
	p.awaitState(fmt.Sprintf("%d bytes %s", n, d), func() bool { return p.bytes[d] >= n })
}

func (p *Proxy) awaitState(what string, holds func() bool) {
	p.tb.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		ok, changed := holds(), p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			p.tb.Fatalf("e2e: proxy to %s: no %s within %v", p.target, what, Patience)
		}
	}
}

// Close resets all connections and ends the proxy. It may be called twice.
func (p *Proxy) Close() {
	p.cancel()
	p.ln.Close()
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.end(RST)
		for _, c := range l.ends { // also of those that wait for the end after FIN
			c.Close()
		}
	}
	p.work.Wait()
}
