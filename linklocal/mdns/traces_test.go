package mdns

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// traces reads testdata/lan.gz: the payloads of all UDP packets to or from port
// 5353 in recordings of real LANs (avahi 0.8, libpurple 2.14 and 2.12,
// python-zeroconf, grandcat/zeroconf, brutella/dnssd, early versions of ours),
// duplicates left out. For each recording: the length of its name in one byte,
// the name, the number of packets in two; for each packet its length in two, and
// the packet. Numbers are big-endian.
func traces(t testing.TB) map[string][][]byte {
	t.Helper()
	f, err := os.Open("testdata/lan.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	take := func(n int) []byte {
		out := b[:n:n]
		b = b[n:]
		return out
	}
	number := func() int { return int(binary.BigEndian.Uint16(take(2))) }
	out := map[string][][]byte{}
	for len(b) > 0 {
		label := string(take(int(take(1)[0])))
		out[label] = nil
		for range number() {
			out[label] = append(out[label], take(number()))
		}
	}
	return out
}

// TestTracesParse: every packet of the recordings parses; what is packed again
// parses to the same.
func TestTracesParse(t *testing.T) {
	lim := Limits{}.withDefaults()
	recordings := traces(t)
	if len(recordings) < 20 {
		t.Fatalf("only %d recordings", len(recordings))
	}
	for label, packets := range recordings {
		for i, b := range packets {
			m, err := parseMessage(b, &lim)
			if err != nil || m.skipped > 0 {
				t.Errorf("%s, packet %d: %v, %d records skipped", label, i, err, m.skipped)
				continue
			}
			checkRoundTrip(t, &lim, m)
		}
	}
}

// checkRoundTrip fails if a message packs to something else than it is.
func checkRoundTrip(t testing.TB, lim *Limits, m *message) {
	t.Helper()
	packed, ok := m.pack(false)
	if !ok {
		return // larger than a datagram once copied out of compression
	}
	again, err := parseMessage(packed, lim)
	if err != nil {
		t.Fatalf("our own packet: %v", err)
	}
	if again.id != m.id || again.response != m.response || again.truncated != m.truncated || !slices.Equal(again.questions, m.questions) {
		t.Errorf("%+v became %+v", m, again)
	}
	for i, section := range [][]record{m.answers, m.authority, m.extras} {
		if got := [][]record{again.answers, again.authority, again.extras}[i]; !slices.Equal(got, section) {
			t.Errorf("%+v became %+v", section, got)
		}
	}
}

// TestTracesAreLivedThrough: an engine with a host and a name of its own that
// occur in the recordings, too, hears all of each. It keeps to its limits, and
// its names are as unique as they were.
func TestTracesAreLivedThrough(t *testing.T) {
	t.Parallel()
	for _, label := range slices.Sorted(maps.Keys(traces(t))) {
		r := newRig(t, Config{Host: "h4", Browse: []string{chatType}})
		r.e.Register(r.now, Service{ID: "conf", Instance: "conf@x", Type: chatType, Port: 5298})
		r.e.Register(r.now, Service{ID: "bob", Instance: "bob@h2", Type: chatType, Port: 5299})
		r.advance(2 * time.Second)
		for i, b := range traces(t)[label] {
			src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(1 + i%4)}), mdnsPort)
			r.e.HandlePacket(r.now, Packet{Data: bytes.Clone(b), Src: src})
			r.advance(200 * ms)
			checkCaps(t, r.e)
		}
		r.advance(3 * time.Minute)
		for _, c := range r.e.order {
			if c.state != established {
				t.Errorf("%s: %q is %v at the end", label, c.label, c.state)
			}
		}
		if s := r.e.Stats(); s.Malformed > 0 || s.SendErrors > 0 {
			t.Errorf("%s: %+v", label, s)
		}
	}
}
