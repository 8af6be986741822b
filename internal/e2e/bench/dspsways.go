package main

import (
	"context"
	"crypto/rand"
	"crypto/sha1" // what the document has
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	dspsclient "meshgate/bridge/dsps/client"
	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
)

const setUps = 40

// stream sets one up, to so many, and all are connected. Everybody does at once
// what does not have to wait for others.
func (b *streamBench) stream(service dsps.JID, receivers int) flow {
	people := b.borrow(1 + receivers)
	s := must(people[0].Create(b.ctx, service, dspsclient.Options{}))(b.tb)
	conns, streams, errs := make([]*dspsclient.Conn, len(people)), make([]*dspsclient.Stream, len(people)), make([]error, len(people))
	var wg sync.WaitGroup
	streams[0] = s
	wg.Go(func() { conns[0], errs[0] = s.Connect(b.ctx, b.method) })
	accepted := make(chan struct{})
	for i, p := range people {
		if i == 0 {
			continue
		}
		wg.Go(func() {
			streams[i], errs[i] = (<-p.invited).Accept(b.ctx)
			accepted <- struct{}{}
			if errs[i] == nil {
				conns[i], errs[i] = streams[i].Connect(b.ctx, b.method)
			}
		})
		// One by one: they are of one account.
		must(0, s.Invite(b.ctx, dspsclient.Offer{Right: dsps.Slave, Peers: []dsps.JID{dsps.JID(p.errand.Address())}}))(b.tb)
		<-accepted
	}
	wg.Wait()
	must(0, errors.Join(errs...))(b.tb)
	for _, c := range conns[1:] { // now that the sender hears it
		must(c.Write([]byte{'\r'}))(b.tb)
	}
	must(0, conns[0].WaitFor(b.ctx, receivers))(b.tb)
	var f flow
	for i, c := range conns {
		b.open, f.readers = append(b.open, leaver{b.ctx, streams[i]}, c), append(f.readers, c)
	}
	f.writers, f.readers = []io.Writer{conns[0]}, f.readers[1:]
	return f
}

// streams sets up so many, each to one.
func (b *streamBench) streams(service dsps.JID, n int) (f flow) {
	for range n {
		one := b.stream(service, 1)
		f.writers, f.readers = append(f.writers, one.writers...), append(f.readers, one.readers...)
	}
	return f
}

// A leaver leaves a stream.
type leaver struct {
	ctx context.Context
	s   *dspsclient.Stream
}

func (l leaver) Close() error { return l.s.Leave(l.ctx) }

// relays opens so many plain relays.
func (b *streamBench) relays(n int) (f flow) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(b.tb)
	defer ln.Close()
	pair := func() (net.Conn, net.Conn) {
		near := b.dial(ln.Addr().String())
		far := must(ln.Accept())(b.tb)
		b.open = append(b.open, far)
		return near, far
	}
	for range n {
		source, in := pair()
		sink, out := pair()
		b.wg.Go(func() { _, _ = io.Copy(out, in) }) // ends with the run
		f.writers, f.readers = append(f.writers, source), append(f.readers, sink)
	}
	return f
}

// dial makes a connection for the length of the run.
func (b *streamBench) dial(addr string) net.Conn {
	c := must(net.Dial("tcp", addr))(b.tb)
	b.open = append(b.open, c)
	return c
}

const nsBytestreams = "http://jabber.org/protocol/bytestreams"

// bytestream opens one by the server's proxy, as XEP-0065 §6 has it: the target
// connects, then the requester, who has the proxy activate it.
//
// The sender closes when all is written. Prosody's proxy reads 8 KiB at a time
// and passes on half of that: the other half waits for more to come, or the end.
func (b *streamBench) bytestream() flow {
	people, sid := b.borrow(2), rand.Text()
	requester, target := people[0], people[1]
	query := func(kind string, parts ...stanza.Part) *stanza.Element {
		parts = append(parts, stanza.Attr{Name: "sid", Value: sid})
		return b.ask(requester, e2e.ProxyService, kind, stanza.New(nsBytestreams, "query", parts...))
	}
	host := query("get").Child(nsBytestreams, "query").Child(nsBytestreams, "streamhost")
	addr := net.JoinHostPort(host.Attr("host"), host.Attr("port"))
	// "SHA1 Hash of: (SID + Requester JID + Target JID)". XEP-0065 §5.3.2
	hash := sha1.Sum([]byte(sid + requester.errand.Address() + target.errand.Address()))
	sink, source := b.dial(addr), b.dial(addr)
	for _, c := range []net.Conn{sink, source} {
		must(0, socks5(c, hex.EncodeToString(hash[:])))(b.tb)
	}
	query("set", stanza.New(nsBytestreams, "activate", stanza.Text(target.errand.Address())))
	return flow{[]io.Writer{source}, []io.Reader{sink}, func() { source.Close() }}
}

// socks5 connects to a name, port 0, without authentication: RFC 1928.
func socks5(c net.Conn, name string) error {
	say := func(out string, in []byte) error {
		if _, err := io.WriteString(c, out); err != nil {
			return err
		}
		_, err := io.ReadFull(c, in)
		return err
	}
	greeting, reply := make([]byte, 2), make([]byte, 7+len(name))
	if err := say("\x05\x01\x00", greeting); err != nil {
		return err
	}
	if err := say("\x05\x01\x00\x03"+string(rune(len(name)))+name+"\x00\x00", reply); err != nil {
		return err
	}
	if greeting[1] != 0 || reply[1] != 0 {
		return fmt.Errorf("SOCKS5: refused: % x, % x", greeting, reply)
	}
	return nil
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
		b.stream(b.self, 1)
		whole = append(whole, time.Since(begin))
		b.end()
	}
	out.figure("dsps_set_up_p50", ms(quantile(whole, 0.5)), "ms")
	out.figure("dsps_round_trip_p50", ms(quantile(trip, 0.5)), "ms")
	out.figure("dsps_set_up_in_round_trips", float64(quantile(whole, 0.5))/float64(quantile(trip, 0.5)), "ratio")
}
