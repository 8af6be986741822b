package main

import (
	"context"
	"io"
	"net"
	"time"

	"meshgate/bridge/dsps"
	dspsclient "meshgate/bridge/dsps/client"
)

const setUps = 40

// borrow takes people for one stream; they are at the end of the queue then.
func (b *streamBench) borrow(n int) []*streamUser {
	got := b.people[:n:n]
	b.people = append(b.people[n:], got...)
	return got
}

// stream sets one up, to so many, and all are connected.
func (b *streamBench) stream(receivers int) ([]io.Writer, []io.Reader) {
	people := b.borrow(1 + receivers)
	s := must(people[0].Create(b.ctx, b.self, dspsclient.Options{}))(b.tb)
	in := must(s.Connect(b.ctx, dspsclient.Method{}))(b.tb)
	b.open = append(b.open, in, leaver{b.ctx, s})
	var readers []io.Reader
	for _, p := range people[1:] {
		offer := dspsclient.Offer{Right: dsps.Slave, Peers: []dsps.JID{dsps.JID(p.errand.Address())}}
		must(0, s.Invite(b.ctx, offer))(b.tb)
		mine := must((<-p.invited).Accept(b.ctx))(b.tb)
		out := must(mine.Connect(b.ctx, dspsclient.Method{}))(b.tb)
		must(out.Write([]byte{'\r'}))(b.tb)
		must(0, in.WaitFor(b.ctx, 1))(b.tb)
		b.open, readers = append(b.open, out, leaver{b.ctx, mine}), append(readers, out)
	}
	return []io.Writer{in}, readers
}

// A leaver leaves a stream.
type leaver struct {
	ctx context.Context
	s   *dspsclient.Stream
}

func (l leaver) Close() error { return l.s.Leave(l.ctx) }

// relays opens so many plain relays.
func (b *streamBench) relays(n int) (w []io.Writer, r []io.Reader) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(b.tb)
	defer ln.Close()
	pair := func() (net.Conn, net.Conn) {
		near := must(net.Dial("tcp", ln.Addr().String()))(b.tb)
		far := must(ln.Accept())(b.tb)
		b.open = append(b.open, near, far)
		return near, far
	}
	for range n {
		source, in := pair()
		sink, out := pair()
		b.wg.Go(func() { _, _ = io.Copy(out, in) }) // ends with the run
		w, r = append(w, source), append(r, sink)
	}
	return w, r
}

// setUpFigures prints how long it takes from nothing to two that are connected,
// and how long an answer of the service takes over the same server.
func (b *streamBench) setUpFigures(out sheet) {
	var whole, trip []time.Duration
	for range setUps {
		begin := time.Now()
		must(b.people[0].Public(b.ctx, b.self))(b.tb)
		trip = append(trip, time.Since(begin))
		begin = time.Now()
		b.stream(1)
		whole = append(whole, time.Since(begin))
		b.end()
	}
	out.figure("dsps_set_up_p50", ms(quantile(whole, 0.5)), "ms")
	out.figure("dsps_round_trip_p50", ms(quantile(trip, 0.5)), "ms")
	out.figure("dsps_set_up_in_round_trips", float64(quantile(whole, 0.5))/float64(quantile(trip, 0.5)), "ratio")
}
