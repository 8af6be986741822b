package mdns

import (
	"bufio"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var peerAddr = netip.MustParseAddrPort("10.0.0.9:5353")

// A rig is one engine whose packets are looked at; the test is its peer.
type rig struct {
	t      testing.TB
	e      *Engine
	now    time.Time
	sent   []sentPacket
	events []Event
}

type sentPacket struct {
	at  time.Duration // since the epoch
	to  netip.AddrPort
	raw []byte
	*dns.Msg
}

func newRig(t testing.TB, cfg Config) *rig {
	if cfg.Host == "" {
		cfg.Host = "gw"
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(1, 1))
	}
	r := &rig{t: t, now: epoch}
	r.e = NewEngine(r.now, cfg)
	r.e.SetAddrs(r.now, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")})
	return r
}

// publishing is a rig with services established and announced.
func publishing(t testing.TB, services ...Service) *rig {
	r := newRig(t, Config{Browse: []string{testType}})
	for _, s := range services {
		if err := r.e.Register(r.now, s); err != nil {
			t.Fatal(err)
		}
	}
	r.advance(10 * time.Second)
	r.clear()
	return r
}

func (r *rig) clear() { r.sent, r.events = nil, nil }

func (r *rig) take() {
	out := r.e.TakeOutput()
	r.events = append(r.events, out.Events...)
	for _, d := range out.Datagrams {
		r.sent = append(r.sent, sentPacket{r.now.Sub(epoch), d.To, d.Data, wire(r.t, d.Data)})
	}
}

func (r *rig) advance(d time.Duration) {
	end := r.now.Add(d)
	r.take()
	for {
		at := r.e.NextTimeout()
		if at.IsZero() || at.After(end) {
			break
		}
		r.now = later(r.now, at)
		r.e.HandleTimeout(r.now)
		r.take()
	}
	r.now = end
}

func (r *rig) receive(m message) { r.receiveFrom(peerAddr, m) }

func (r *rig) receiveFrom(src netip.AddrPort, m message) {
	b, ok := m.pack(false)
	if !ok {
		r.t.Fatal("test packet does not pack")
	}
	r.e.HandlePacket(r.now, Packet{Data: b, Src: src})
	r.take()
}

func ask(typ uint16, names ...name) message {
	var m message
	for _, n := range names {
		m.questions = append(m.questions, question{name: n, typ: typ})
	}
	return m
}

func answerWith(rr ...record) message { return message{response: true, answers: rr} }

// probeBy is another host's probe.
func probeBy(n name, rr ...record) message {
	m := ask(dns.TypeANY, n)
	m.authority = rr
	return m
}

// foreign are the records of a complete instance of another host.
func foreign(label, host string, port uint16, text ...string) []record {
	typ, _ := typeName(testType)
	n := instanceName(label, typ)
	return []record{
		ptrRecord(typ, n), srvRecord(n, port, hostName(host)), txtRecord(n, textBlob(text)),
		addrRecord(hostName(host), peerAddr.Addr()),
	}
}

func mustType(typ string) name {
	n, err := typeName(typ)
	if err != nil {
		panic(err)
	}
	return n
}

func testName(label string) name { return instanceName(label, mustType(testType)) }

// answers lists the answers of one type in all packets sent.
func (r *rig) answers(typ uint16) (out []dns.RR) {
	for _, p := range r.sent {
		for _, rr := range p.Answer {
			if rr.Header().Rrtype == typ {
				out = append(out, rr)
			}
		}
	}
	return out
}

// times lists when an answer of a type (or, in queries, a question) was sent.
func (r *rig) times(response bool, typ uint16) (out []time.Duration) {
	for _, p := range r.sent {
		hit := false
		for _, rr := range p.Answer {
			hit = hit || (response && p.Response && rr.Header().Rrtype == typ)
		}
		for _, q := range p.Question {
			hit = hit || (!response && !p.Response && q.Qtype == typ)
		}
		if hit {
			out = append(out, p.at)
		}
	}
	return out
}

func (r *rig) wantTimes(reason string, got []time.Duration, want ...time.Duration) {
	r.t.Helper()
	if len(got) != len(want) {
		r.t.Fatalf("%s: at %v, want at %v", reason, got, want)
	}
	for i := range got {
		if d := got[i] - got[0] - (want[i] - want[0]); d < -time.Millisecond || d > time.Millisecond {
			r.t.Errorf("%s: at %v, want spaced as %v", reason, got, want)
			return
		}
	}
}

func wantEvent[T Event](r *rig, reason string) (ev T) {
	r.t.Helper()
	for _, e := range r.events {
		if x, ok := e.(T); ok {
			return x
		}
	}
	r.t.Fatalf("%s: no %T in %v", reason, ev, r.events)
	return ev
}

func (r *rig) wantNoEvents(reason string) {
	r.t.Helper()
	if len(r.events) > 0 {
		r.t.Fatalf("%s: events %v", reason, r.events)
	}
}

// captured reads the packets of testdata/packets, by file name.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/packets/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatal("no captured packets", err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		out[strings.TrimSuffix(filepath.Base(f), ".hex")] = readHex(t, f)
	}
	return out
}

func readHex(t testing.TB, file string) (out []byte) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(lines.Text()))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, b...)
	}
	return out
}
