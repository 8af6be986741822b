package rmulticast

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A captured datagram and when it was seen.
type captured struct {
	at   time.Time
	data []byte
}

// readTrace returns the UDP payloads of a capture of gibber's nodes on a LAN.
// Of those named extract most large DATA packets were left out.
func readTrace(t testing.TB, path string) (list []captured) {
	t.Helper()
	f, err := os.Open(path)
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
	const fileHeader, recordHeader, ethernet, udp = 24, 16, 14, 8
	for b = b[fileHeader:]; len(b) > 0; {
		at := time.Unix(int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))*1000)
		end := recordHeader + binary.LittleEndian.Uint32(b[8:])
		ip := b[recordHeader+ethernet : end]
		b = b[end:]
		body := ip[ip[0]&15*4 : binary.BigEndian.Uint16(ip[2:])]
		list = append(list, captured{at, body[udp:]})
	}
	return list
}

func tracePaths(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.pcap.gz")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d traces, %v", len(paths), err)
	}
	return paths
}

// CQ-01: whatever gibber sends is understood, and comes out again as it was.
func TestTracesParse(t *testing.T) {
	types, long := map[Type]int{}, 0
	for _, path := range tracePaths(t) {
		for i, c := range readTrace(t, path) {
			p, err := ParsePacket(c.data)
			if err != nil {
				t.Errorf("%s, packet %d: %v: %x", path, i, err, c.data)
				continue
			}
			types[p.Type]++
			if len(c.data) > MaxDatagram { // a forged one, and of it the first IP fragment
				long++
				continue
			}
			if b, err := AppendPacket(nil, &p); err != nil || !bytes.Equal(b, c.data) {
				t.Errorf("%s, packet %d: %v becomes %x, %v", path, i, &p, b, err)
			}
		}
	}
	for typ := range typeNames {
		if types[typ] < 40 {
			t.Errorf("only %d packets of %v", types[typ], typ)
		}
	}
	if long != 1 {
		t.Errorf("%d datagrams are longer than gibber sends, want 1", long)
	}
}

func FuzzParsePacket(f *testing.F) {
	for _, tt := range golden {
		f.Add(unhex(f, tt.hex))
	}
	for _, path := range tracePaths(f) {
		if c := readTrace(f, path); !strings.Contains(path, "extract") {
			f.Add(c[len(c)/2].data)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePacket(b)
		if err != nil {
			return
		}
		out, err := AppendPacket(nil, &p)
		if fits := len(b) <= MaxDatagram && len(p.Name) <= MaxName; (err == nil) != fits || fits && !bytes.Equal(out, b) {
			t.Errorf("%v becomes %x, %v", &p, out, err)
		}
	})
}
