package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"mellium.im/xmpp/jid"

	"meshgate/bridge/dsps"
	dspsclient "meshgate/bridge/dsps/client"
	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

const (
	pourRuns  = 5
	pourBytes = 256 << 20
	fanBytes  = 64 << 20 // to each
	fan       = 8
)

// measureDSPS prints how fast data streams are: beside a relay that is io.Copy,
// and how soon one is set up over a real Prosody. The ends are in this process, as are service and
// relay, so that CPU time is that of all of them.
func measureDSPS(ctx context.Context, tb e2e.TB, out sheet) {
	b := openStreams(ctx, tb)
	defer b.close()
	b.figures(out, "1to1", pourBytes, 1,
		func() ([]io.Writer, []io.Reader) { return b.stream(1) },
		func() ([]io.Writer, []io.Reader) { return b.relays(1) })
	b.figures(out, "1to8", fanBytes, fan,
		func() ([]io.Writer, []io.Reader) { return b.stream(fan) },
		func() ([]io.Writer, []io.Reader) { return b.relays(fan) })
	b.figures(out, "8streams", fanBytes, fan,
		func() (w []io.Writer, r []io.Reader) {
			for range fan {
				ws, rs := b.stream(1)
				w, r = append(w, ws...), append(r, rs...)
			}
			return w, r
		},
		func() ([]io.Writer, []io.Reader) { return b.relays(fan) })
	b.setUpFigures(out)
}

// figures prints the goodput of a way of ours beside that of the relay, summed
// over the readers, turn by turn.
func (b *streamBench) figures(out sheet, name string, bytes int64, readers int, ours, relay func() ([]io.Writer, []io.Reader)) {
	var a, z, ratios, cpuA, cpuZ []float64
	for range pourRuns {
		ra, ca := b.pour(bytes, readers, ours)
		rz, cz := b.pour(bytes, readers, relay)
		a, z, ratios, cpuA, cpuZ = append(a, ra), append(z, rz), append(ratios, ra/rz), append(cpuA, ca), append(cpuZ, cz)
	}
	out.figure("dsps_"+name, median(a), "MiB/s")
	out.figure("relay_"+name, median(z), "MiB/s")
	out.figure("dsps_"+name+"_over_relay", median(ratios), "ratio")
	out.figure("dsps_"+name+"_cpu", median(cpuA), "s/GiB")
	out.figure("relay_"+name+"_cpu", median(cpuZ), "s/GiB")
}

// pour writes so many bytes to each writer, has each reader read them, and
// returns the summed goodput in MiB/s and the CPU seconds for each GiB.
func (b *streamBench) pour(bytes int64, readers int, open func() ([]io.Writer, []io.Reader)) (rate, cpu float64) {
	writers, sinks := open()
	defer b.end()
	begin, spent := time.Now(), cpuTime()
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			piece := make([]byte, 256<<10)
			for left := bytes; left > 0; left -= int64(len(piece)) {
				if _, err := w.Write(piece); err != nil {
					b.fail(err)
					return
				}
			}
		})
	}
	for _, r := range sinks {
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for left := bytes; left > 0; {
				n, err := r.Read(buf)
				if left -= int64(n); err != nil && left > 0 {
					b.fail(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.check()
	total := float64(bytes) * float64(readers)
	return total / (1 << 20) / time.Since(begin).Seconds(), (cpuTime() - spent).Seconds() / (total / (1 << 30))
}

// cpuTime is what this process has used, in the kernel too.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A streamBench is a service that is a bot of a Prosody, and people of it.
type streamBench struct {
	ctx    context.Context
	tb     e2e.TB
	server *e2e.Server
	self   dsps.JID
	people []*streamUser
	open   []io.Closer // connections of the run
	wg     sync.WaitGroup
	stop   func()
	failed chan error
}

func (b *streamBench) fail(err error) {
	select {
	case b.failed <- err:
	default:
	}
	b.hangUp()
}

func (b *streamBench) check() {
	select {
	case err := <-b.failed:
		b.tb.Fatalf("bench: %v", err)
	default:
	}
}

// A streamUser is a session of an account, and its use of the service.
type streamUser struct {
	*dspsclient.Client
	errand  *xmppc2s.Errand
	invited chan *dspsclient.Invitation
}

func openStreams(ctx context.Context, tb e2e.TB) *streamBench {
	users := map[string]string{"service": e2e.UserPassword, "alice": e2e.UserPassword}
	b := &streamBench{ctx: ctx, tb: tb, failed: make(chan error, 1)}
	b.server = e2e.Local(tb).Prosody(e2e.ServerOptions{Users: users, NoDelay: true})
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(tb)
	errand := b.login("service", "dsps")
	b.self = dsps.JID(errand.Address())
	all := func(dsps.JID) bool { return true }
	svc := dsps.NewServer(dsps.ServerConfig{Listen: "none", Engine: dsps.Config{
		Rand: rand.New(rand.NewChaCha8([32]byte{1})), Addresses: dsps.OneJID(b.self),
		Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, Limits: dsps.Limits{StreamsEach: 256},
		Policy: dsps.Policy{MayCreate: all, MayJoin: all, MayInvite: func(_, _ dsps.JID) bool { return true }},
	}})
	run, cancel := context.WithCancel(ctx)
	b.wg.Go(func() { _ = svc.Run(run, botSender{errand}) })
	b.wg.Go(func() { serveAll(ln, svc) })
	b.wg.Go(func() {
		_ = errand.Run(func(iq *stanza.Element) bool { return svc.HandleQuery(dsps.JID(iq.Attr("from")), b.self, iq) })
	})
	b.stop = func() { ln.Close(); errand.Close(); cancel() }
	for i := range 2 * fan {
		b.people = append(b.people, b.user(fmt.Sprintf("p%d", i)))
	}
	return b
}

type botSender struct{ e *xmppc2s.Errand }

func (s botSender) SendIQ(iq *stanza.Element) { _ = s.e.Send(iq) }

func serveAll(ln net.Listener, svc *dsps.Server) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		svc.Serve(c)
	}
}

func (b *streamBench) close() {
	b.hangUp()
	for _, p := range b.people {
		p.errand.Close()
	}
	b.stop()
	b.wg.Wait()
}

func (b *streamBench) hangUp() {
	for _, c := range b.open {
		c.Close()
	}
}

// end is the end of a run.
func (b *streamBench) end() {
	b.hangUp()
	b.open = nil
}

func (b *streamBench) login(user, resource string) *xmppc2s.Errand {
	addr := must(net.ResolveTCPAddr("tcp", b.server.LoopbackAddr()))(b.tb)
	return must(xmppc2s.Login(b.ctx, xmppc2s.Config{
		JID: jid.MustParse(b.server.JID(user) + "/" + resource), Password: e2e.UserPassword, CloseOnStop: true,
		Host: addr.IP.String(), Port: uint16(addr.Port), RootCAs: must(ends.Roots(b.server))(b.tb),
	}))(b.tb)
}

func (b *streamBench) user(resource string) *streamUser {
	u := &streamUser{errand: b.login("alice", resource), invited: make(chan *dspsclient.Invitation, 1)}
	u.Client = dspsclient.New(dspsclient.Config{
		Self: dsps.JID(u.errand.Address()), Send: u.errand.Send, Invited: func(i *dspsclient.Invitation) { u.invited <- i },
	})
	b.wg.Go(func() {
		_ = u.errand.Run(func(iq *stanza.Element) bool {
			return u.HandleIQ(dsps.JID(iq.Attr("from")), iq)
		})
	})
	return u
}
