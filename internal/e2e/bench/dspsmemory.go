package main

import (
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	dspsclient "meshgate/bridge/dsps/client"
	"meshgate/internal/e2e"
)

const (
	crowd         = 64 // peers, that what is not theirs does not count
	memorySamples = 8
	memoryPause   = 100 * time.Millisecond // between samples
	slowPiece     = 4 << 10                // bytes that a slow reader takes …
	slowPause     = time.Millisecond       // … and how long it waits then
)

// memoryFigures prints what a service of its own takes for each stream without
// data, and for each peer of one that flows: while all read as fast as they can,
// slowly, and not at all. What the kernel holds for them is told apart.
func (b *streamBench) memoryFigures(out sheet) {
	b.gather(crowd)
	m := memoryOf{self: dsps.JID(b.server.JID("service") + "/memory")}
	m.proc = b.server.Host().Start(must(os.Executable())(b.tb), serviceCommand, b.server.LoopbackAddr(), b.server.CAFile, string(m.self))
	m.proc.Expect("^started$")
	defer m.proc.CloseInput()
	none, _ := m.now(b.tb)
	for _, how := range []struct {
		name   string
		method dspsclient.Method
	}{{"", dspsclient.Method{}}, {"_tls", dspsclient.Method{TLS: true}}} {
		b.method = how.method
		b.streams(m.self, crowd/2)
		idle, _ := m.now(b.tb)
		b.end()
		out.figure("dsps_memory_per_idle_stream"+how.name, (idle-none)/(crowd/2), "KiB")
		for _, speed := range []string{"fast", "slow", "stopped"} {
			used, sockets := b.memoryAt(m, speed)
			out.figure("dsps_memory_per_peer_"+speed+how.name, (used-none)/crowd, "KiB")
			out.figure("dsps_sockets_per_peer_"+speed+how.name, sockets/crowd, "KiB")
		}
	}
	b.method = dspsclient.Method{}
}

// A memoryOf asks a service what it has in use.
type memoryOf struct {
	proc *e2e.Proc
	self dsps.JID
}

// now is in KiB.
func (m memoryOf) now(tb e2e.TB) (used, sockets float64) {
	m.proc.Send("memory")
	got := m.proc.Expect(`^memory (\d+) (\d+)$`)
	return must(strconv.ParseFloat(got[1], 64))(tb) / 1024, must(strconv.ParseFloat(got[2], 64))(tb) / 1024
}

// memoryAt is the median while one sends to all others.
func (b *streamBench) memoryAt(m memoryOf, speed string) (used, sockets float64) {
	f := b.stream(m.self, crowd-1)
	var ends sync.WaitGroup
	defer ends.Wait()
	defer b.end()
	ends.Go(func() { _ = fill(f.writers[0], 1<<62) }) // until it is cut
	for _, r := range f.readers {
		switch speed {
		case "fast":
			ends.Go(func() { _ = drain(r, 1<<62) })
		case "slow":
			ends.Go(func() { _ = drain(sluggish{r}, 1<<62) })
		}
	}
	var us, ss []float64
	for range memorySamples {
		time.Sleep(memoryPause)
		u, s := m.now(b.tb)
		us, ss = append(us, u), append(ss, s)
	}
	return median(us), median(ss)
}

// A sluggish reader takes its time.
type sluggish struct{ r io.Reader }

func (s sluggish) Read(b []byte) (int, error) {
	time.Sleep(slowPause)
	return s.r.Read(b[:min(len(b), slowPiece)])
}
