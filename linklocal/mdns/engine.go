package mdns

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const maxOwnAddrs = 32

// An Engine is the pure state machine of one mDNS stack on one interface.
//
// It does no I/O, starts no goroutine and never reads the clock: every input
// carries the time, and every effect is in TakeOutput. It belongs to one
// goroutine. Inputs that only change our own records take effect with the next
// HandleTimeout, which NextTimeout then asks for at once: so that many changes
// share packets.
type Engine struct {
	lim  Limits
	rand *rand.Rand
	log  *slog.Logger
	out  Output

	// What we publish.
	host      *claim
	order     []*claim // the host, then services in order of registration
	claims    map[name]*claim
	byID      map[ServiceID]*claim
	types     map[name]*svcType
	typeOrder []*svcType
	addrs     []netip.Addr // of our interface; none: no link
	pointedTo name         // the host's name, folded, when it was last established
	batch     time.Time    // start of probing shared by new names
	conflicts []time.Time  // the last few
	slow      bool         // too many of them lately
	goodbyes  []goodbye
	held      []*query
	yields    bool      // see Config.Yield
	pending   []ref     // perhaps to be multicast as answers
	together  time.Time // when delayed answers go, those of several questions in one packet
	closing   bool
	quiet     bool // nothing is ever probed for, and so nothing established

	multicastRate, unicastRate bucket

	self                    *self
	echoes                  echoes
	twins                   twins
	copies                  int // of each multicast, one by each family
	past                    *past
	local                   deadline // of the above
	nextProbe, nextAnnounce deadline // within local: these look at all claims
	monitor                 *monitor
	stats                   Stats
}

// NewEngine returns an engine without a link: SetAddrs starts it.
func NewEngine(now time.Time, cfg Config) *Engine { return newEngine(now, cfg, newSelf()) }

func newEngine(now time.Time, cfg Config, own *self) *Engine {
	e := &Engine{
		lim: cfg.Limits.withDefaults(), rand: cfg.Rand, log: cfg.Log, self: own, past: &own.past, copies: 1,
		claims: map[name]*claim{}, byID: map[ServiceID]*claim{}, types: map[name]*svcType{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.rand == nil {
		e.rand = rand.New(rand.NewPCG(uint64(now.UnixNano()), 0))
	}
	e.multicastRate = newBucket(now, e.lim.ResponseRate, e.lim.ResponseBurst)
	e.unicastRate = newBucket(now, e.lim.ResponseRate, e.lim.ResponseBurst)
	label := hostLabel(cfg.Host)
	e.host = &claim{preferred: label, label: label}
	e.yields = cfg.Yield
	if e.quiet = cfg.Quiet; !e.quiet {
		e.enter(e.host)
	}
	e.order = []*claim{e.host}
	e.monitor = newMonitor(now, e, cfg)
	return e
}

// SetAddrs tells the addresses of our interface. With the first ones all names
// are probed for; with none left nothing is sent any more; other changes are
// announced.
func (e *Engine) SetAddrs(now time.Time, addrs []netip.Addr) { e.setAddrs(now, addrs, addrs) }

// setAddrs is SetAddrs where others of our addresses are to be published.
func (e *Engine) setAddrs(now time.Time, addrs, published []netip.Addr) {
	addrs, published = cleanAddrs(addrs), cleanAddrs(published)
	old := e.addrs
	if slices.Equal(addrs, old) && slices.Equal(published, e.host.addrs) {
		return
	}
	gone := e.goneAddrs(e.host.addrs, published)
	e.pass(now, e.host)
	e.addrs, e.host.addrs = addrs, published
	e.self.replaceAddrs(old, addrs)
	switch {
	case len(addrs) == 0:
		for _, c := range e.order {
			e.becomeIdle(c)
		}
		for _, t := range e.typeOrder {
			t.sched = schedule{}
		}
		e.goodbyes, e.held, e.pending = nil, nil, nil
	case len(old) == 0:
		for _, c := range e.order {
			if !e.quiet {
				e.becomeProbing(c, e.startAt(now))
			}
		}
		e.monitor.restart(now)
	case e.host.state == established:
		e.correctDenial(now, e.host)
		e.announce(now, ref{c: e.host, k: kindA}, ref{c: e.host, k: kindAAAA})
		if len(gone) > 0 {
			e.addGoodbye(now, "", gone)
		}
		e.monitor.restart(now)
	}
}

// goneAddrs are the address records of a family we have no more of: where one
// is left, its cache-flush bit does away with the others.
func (e *Engine) goneAddrs(old, addrs []netip.Addr) (rr []record) {
	for _, a := range old {
		same := func(b netip.Addr) bool { return a.Is4() == b.Is4() }
		if len(addrs) > 0 && !slices.ContainsFunc(addrs, same) {
			rr = append(rr, addrRecord(e.host.name, a))
		}
	}
	return rr
}

func cleanAddrs(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); a.IsValid() && !a.IsUnspecified() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return out[:min(len(out), maxOwnAddrs)]
}

// Register publishes a service: probed for, renamed if taken, announced.
func (e *Engine) Register(now time.Time, s Service) error {
	switch {
	case e.closing:
		return ErrClosed
	case e.byID[s.ID] != nil:
		return fmt.Errorf("%w: %q", ErrDuplicateID, s.ID)
	case len(e.byID) >= e.lim.Services:
		return ErrTooMany
	}
	if err := s.check(&e.lim); err != nil {
		return err
	}
	e.add(now, s, naming{label: cutBytes(s.Instance, maxLabel)})
	return nil
}

// add takes a valid service in under the given one of its names, or the next
// that is free.
func (e *Engine) add(now time.Time, s Service, n naming) {
	typ, _ := typeName(s.Type)
	label := n.label
	c := &claim{
		svc: &s, typ: e.typeOf(typ), preferred: cutBytes(s.Instance, maxLabel), label: label, renames: n.renames,
		text: textBlob(s.Text), null: string(s.Null), addrs: cleanAddrs(s.Addrs),
	}
	e.enter(c)
	e.byID[s.ID] = c
	e.order = append(e.order, c)
	c.typ.claims = append(c.typ.claims, c)
	if c.label != label {
		e.event(Renaming{ID: s.ID, Old: label, New: c.label})
	}
	if len(e.addrs) > 0 {
		e.becomeProbing(c, e.startAt(now))
	}
}

// Unregister takes a service back, with a goodbye if it was announced.
func (e *Engine) Unregister(now time.Time, id ServiceID) {
	c := e.byID[id]
	if c == nil {
		return
	}
	if c.state == established {
		e.sayGoodbye(now, c)
	}
	e.pass(now, c)
	e.drop(c)
}

// Shutdown says goodbye for everything. The engine is done when Done says so.
func (e *Engine) Shutdown(now time.Time) {
	e.closing = true
	for _, c := range slices.Clone(e.order[1:]) {
		e.Unregister(now, c.svc.ID)
	}
	e.monitor.stop()
}

// Done reports whether a shutdown is over: all goodbyes are said.
func (e *Engine) Done() bool { return e.closing && !e.leaving() }

// HandlePacket takes one received datagram. Malformed ones are counted.
func (e *Engine) HandlePacket(now time.Time, p Packet) {
	e.stats.PacketsIn++
	p.Src = netip.AddrPortFrom(p.Src.Addr().Unmap(), p.Src.Port())
	src, sum := p.Src.Addr().WithZone(""), checksum(p.Data)
	switch {
	case e.isEcho(now, src, sum):
		e.stats.OwnEchoes++
		return
	case !p.Unicast && e.twins.take(now, sum, src.Is4()):
		e.stats.Twins++
		return
	}
	m, err := parseMessage(p.Data, &e.lim)
	if err != nil {
		e.stats.Malformed++
		e.log.Debug("packet dropped", "from", p.Src, "err", err)
		return
	}
	e.stats.Malformed += uint64(m.skipped)
	switch {
	case !m.response:
		e.handleQuery(now, p, m)
	case p.Src.Port() == mdnsPort: // RFC 6762 §6: others MUST be silently ignored
		e.handleResponse(now, src, p.Unicast, m)
	}
	e.HandleTimeout(now)
}

func (e *Engine) handleResponse(now time.Time, src netip.Addr, unicast bool, m *message) {
	rr := append(m.answers, m.extras...)
	e.checkConflicts(now, src, unicast, rr)
	e.monitor.handleRecords(now, src, rr)
}

// HandleTimeout lets time pass. Calling it early or late is harmless.
func (e *Engine) HandleTimeout(now time.Time) {
	if e.local.take(now) && len(e.addrs) > 0 {
		e.runProbes(now)
		e.runAnnouncements(now)
		e.runGoodbyes(now)
		e.runHeld(now)
		e.runResponses(now)
	}
	e.monitor.handleTimeout(now)
}

// NextTimeout is when to call HandleTimeout; it may be past; zero: never.
func (e *Engine) NextTimeout() time.Time { return earliest(e.local.t, e.monitor.wake.t) }

// TakeOutput returns what is to be done, and forgets it.
func (e *Engine) TakeOutput() Output {
	out := e.out
	e.out = Output{}
	return out
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Services, s.Pending = len(e.byID), len(e.held)+len(e.monitor.resolves)
	s.Records, s.Instances = e.monitor.cache.size(), len(e.monitor.instances)
	return s
}

func (e *Engine) event(ev Event) { e.out.Events = append(e.out.Events, ev) }

func (e *Engine) multicast(now time.Time, packets []message) {
	for i := range packets {
		if b := e.send(&packets[i], netip.AddrPort{}, false); b != nil {
			sum := checksum(b)
			for range e.copies {
				e.echoes.add(now, sum)
			}
			e.self.sending(now, sum)
		}
	}
}

// send queues one packet and returns its bytes, or nil if it cannot be sent.
func (e *Engine) send(m *message, to netip.AddrPort, legacy bool) []byte {
	b, ok := m.pack(legacy)
	if !ok {
		e.stats.SendErrors++
		e.log.Debug("packet does not fit a datagram", "bytes", len(b))
		return nil
	}
	e.stats.PacketsOut++
	e.out.Datagrams = append(e.out.Datagrams, Datagram{Data: b, To: to})
	return b
}

// jitter returns a random duration in [lo, hi).
func (e *Engine) jitter(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(e.rand.Int64N(int64(hi-lo)))
}
