package dsps

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"meshgate/internal/alarm"
	"meshgate/internal/stanza"
)

// ServerConfig is what a Server needs to know. Zero fields are the defaults.
type ServerConfig struct {
	Engine Config
	Listen string      // host:port; default the engine's port on all addresses; "none": connections come by Serve only
	TLS    *tls.Config // for starttls; nil: it is refused
	Log    *slog.Logger

	Conns            int           // at a time; default 512
	HalfOpen         int           // handshakes at a time; default 128 …
	HalfOpenEach     int           // … and from one address; default 16
	HandshakeTimeout time.Duration // for a whole handshake; default 30 s
	LingerTimeout    time.Duration // for what a peer that has left has still sent, and to take its end; default 5 s
	StreamRate, Rate int           // bytes per second that one stream, and all, take in; default: no limit

	// Dial connects to services behind us. Default: a net.Dialer's. What a
	// client may have it connect to is the engine's Policy.MayRelay.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// tick is the time between measurements of connections.
const tick = time.Second

func (c ServerConfig) withDefaults() ServerConfig {
	c.Engine = c.Engine.withDefaults()
	preset(&c.Conns, 512)
	preset(&c.HalfOpen, 128)
	preset(&c.HalfOpenEach, 16)
	preset(&c.HandshakeTimeout, 30*time.Second)
	preset(&c.LingerTimeout, 5*time.Second)
	if c.Listen == "" {
		c.Listen = ":" + strconv.Itoa(c.Engine.Port)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	}
	return c
}

// A Sender carries stanzas to peers, by their to; their from says which of our
// addresses they leave by. It must not wait for anything.
type Sender interface{ SendIQ(iq *stanza.Element) }

// A Server is a data stream proxy service. Its methods may be called from any
// goroutine.
type Server struct {
	cfg     ServerConfig
	engine  *Engine // the loop's
	links   map[ConnID]*link
	hoses   map[StreamID]*hose
	queries *inbox
	calls   chan func(now time.Time)
	renewed chan struct{} // holds one: see AddressesChanged
	ln      net.Listener  // from Listen to Run
	wg      sync.WaitGroup
	gate    gate
	total   *rate.Limiter
	bytes   atomic.Int64
	late    atomic.Uint64
	state   atomic.Pointer[ServerStats]
	ready   chan struct{}
	addr    net.Addr
	done    chan struct{} // closed when the loop has ended
	blocks  sync.Pool     // those that no stream has; idle streams have none
	measure time.Time     // when the links are measured next
}

// ServerStats is how a server is doing.
type ServerStats struct {
	Counters
	Active, Peers   int    // streams and registered peers
	Bytes           int64  // of data that came in
	Refused, Failed uint64 // connections turned away, and handshakes that came to nothing
	Late            uint64 // connections cut off because they did not come to their end, see Config.Drain
}

// NewServer makes a server. Run starts it.
func NewServer(cfg ServerConfig) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, engine: New(cfg.Engine), links: map[ConnID]*link{}, hoses: map[StreamID]*hose{},
		queries: newInbox(), calls: make(chan func(time.Time)), renewed: make(chan struct{}, 1), ready: make(chan struct{}),
		done: make(chan struct{}), blocks: sync.Pool{New: func() any { return new(block) }},
	}
	s.gate = gate{most: cfg.Conns, half: cfg.HalfOpen, each: cfg.HalfOpenEach, hosts: map[string]int{}}
	s.total = limiter(cfg.Rate)
	s.state.Store(&ServerStats{})
	return s
}

// limiter is a pace in bytes per second, nil for none.
func limiter(bytes int) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), max(bytes/8, blockSize))
}

// HandleQuery takes a stanza that came to one of our addresses, to, from a
// peer that is who it says. Answers go to Run's Sender. It reports false if too
// many wait: the peer may ask again.
func (s *Server) HandleQuery(from, to JID, iq *stanza.Element) bool {
	return s.queries.put(arrived{from, to, iq})
}

// Stats says how the server is doing; it is a second old at most while data flows.
func (s *Server) Stats() ServerStats {
	st := *s.state.Load()
	st.Bytes = s.bytes.Load()
	st.Late = s.late.Load()
	st.Refused, st.Failed = s.gate.refused.Load(), s.gate.failed.Load()
	return st
}

// Addr is where the server listens, once it does.
func (s *Server) Addr() net.Addr {
	<-s.ready
	return s.addr
}

// AddressesChanged says that the engine's Addresses may give others than before,
// or have lost some. It never waits.
func (s *Server) AddressesChanged() {
	select {
	case s.renewed <- struct{}{}:
	default:
	}
}

// Listen begins to listen, which else Run does: it may be tried again. Only Run
// ends it.
func (s *Server) Listen(ctx context.Context) error {
	if s.cfg.Listen == "none" || s.ln != nil {
		return nil
	}
	l := net.ListenConfig{KeepAliveConfig: keepAlive}
	ln, err := l.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("dsps: %w", err)
	}
	s.ln, s.addr = ln, ln.Addr()
	return nil
}

// Run listens and serves until ctx ends, and returns when all is closed.
func (s *Server) Run(ctx context.Context, out Sender) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel()
	if err := s.Listen(ctx); err != nil {
		return err
	}
	if s.ln != nil {
		s.wg.Go(func() { s.accept(ctx, s.ln) })
	}
	close(s.ready)
	s.loop(ctx, out)
	close(s.done)
	for _, l := range s.links {
		l.abort()
	}
	for id := range s.hoses {
		s.forget(id)
	}
	return nil
}

// loop owns the engine, the links and the hoses.
func (s *Server) loop(ctx context.Context, out Sender) {
	var wake alarm.Alarm
	defer wake.Stop()
	s.measure = time.Now()
	for {
		s.flush(out)
		wake.Set(s.next())
		select {
		case <-s.queries.C():
			for _, q := range s.queries.take() {
				s.engine.HandleQuery(time.Now(), q.from, q.to, q.iq)
				s.flush(out)
			}
		case <-s.renewed:
			s.engine.HandleAddresses(time.Now())
		case call := <-s.calls:
			call(time.Now())
		case <-wake.C():
			s.pass(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// next is when the loop has something to do by itself.
func (s *Server) next() time.Time {
	at := s.engine.NextTimeout()
	if len(s.hoses) > 0 && (at.IsZero() || s.measure.Before(at)) {
		return s.measure
	}
	return at
}

func (s *Server) pass(now time.Time) {
	s.engine.HandleTimeout(now)
	if now.Before(s.measure) {
		return
	}
	s.measure = now.Add(tick)
	for _, l := range s.links {
		s.progress(now, l)
	}
}

// progress tells the engine what a link was good for.
func (s *Server) progress(now time.Time, l *link) {
	if l.hose == nil { // in a handshake, or still being made
		return
	}
	if bytes, busy := l.progress(now); bytes > 0 || busy > 0 {
		s.engine.HandleProgress(now, l.id, bytes, busy)
	}
}

// flush carries out what the engine wants.
func (s *Server) flush(out Sender) {
	o := s.engine.TakeOutput()
	for _, a := range o.Actions {
		s.cfg.Log.Debug("dsps", "do", a.Do.String(), "conn", a.Conn, "stream", a.Stream, "peer", a.ID, "right", a.Right)
		s.carryOut(a)
	}
	for _, iq := range o.Stanzas {
		out.SendIQ(iq.Element())
	}
	s.state.Store(&ServerStats{Counters: s.engine.Counters(), Active: s.engine.Streams(), Peers: s.engine.Peers()})
}

func (s *Server) carryOut(a Action) {
	l := s.links[a.Conn]
	switch a.Do {
	case Dial:
		s.dial(a)
	case Drain:
		s.drain(a.Stream)
	case Hurry:
		s.hurry(a.Stream)
	case Forget:
		s.forget(a.Stream)
	case Attach:
		if l != nil {
			l.attach(s.hose(a), a)
		}
	default:
		if l == nil {
			return
		}
		if a.Why != "" {
			s.cutOff(l, a.Why)
		}
		l.told(a)
	}
}

// cutOff says in the log why a connection ends.
func (s *Server) cutOff(l *link, why string) {
	s.cfg.Log.Info("a connection to a stream is cut off", "client", l.client, "conn", l.id, "why", why)
}

// drain tells the engine when a stream has delivered all that it took. Whoever
// finds that out may be somebody whom the loop waits for: another goroutine tells.
func (s *Server) drain(id StreamID) {
	done := func() {
		s.wg.Go(func() { s.call(func(time.Time) { s.engine.HandleDrained(id) }) })
	}
	if h := s.hoses[id]; h != nil {
		h.drain(done)
	} else {
		done() // nobody was ever connected
	}
}

// hurry cuts off those who hold up the end of a stream.
func (s *Server) hurry(id StreamID) {
	h := s.hoses[id]
	if h == nil {
		return
	}
	for _, l := range h.late(time.Now()) {
		s.late.Add(1)
		s.cutOff(l, "the stream has ended, and it does not take the rest")
		l.abort()
	}
}

// hose is the data path of the stream that is attached to.
func (s *Server) hose(a Action) *hose {
	h := s.hoses[a.Stream]
	if h == nil {
		h = newHose(a.Owner, &s.blocks, &s.bytes, limiter(s.cfg.StreamRate), s.total)
		s.hoses[a.Stream] = h
		s.cfg.Log.Info("stream begins", "stream", a.Stream, "creator", a.Owner)
	}
	return h
}

// forget ends the data path of a stream, if there is one.
func (s *Server) forget(id StreamID) {
	if h := s.hoses[id]; h != nil {
		s.cfg.Log.Info("stream ended", "stream", id, "creator", h.owner, "bytes", h.came.Load())
		delete(s.hoses, id)
	}
}

// call runs f in the loop. It reports false if the loop has ended.
func (s *Server) call(f func(now time.Time)) bool {
	select {
	case s.calls <- f:
		return true
	case <-s.done:
		return false
	}
}
