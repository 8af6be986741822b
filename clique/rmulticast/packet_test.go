package rmulticast

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden are packets that gibber sent.
var golden = []struct {
	name, hex string
	p         Packet
}{
	{"probing", "436c697175650100 00000000 471df05c", Packet{Type: WhoisRequest, Target: 0x471df05c}},
	{"name", "436c697175650101 471df05c 05 616c696365", Packet{Type: WhoisReply, Sender: 0x471df05c, Name: "alice"}},
	{"session", "436c697175650103 471df05c 01 471df05c53174c1e",
		Packet{Type: Session, Sender: 0x471df05c, Entries: []Entry{{0x471df05c, 0x53174c1e}}}},
	{"repair request", "436c697175650102 5d2ea76a 547bbcb3 06078971",
		Packet{Type: RepairRequest, Sender: 0x5d2ea76a, Target: 0x547bbcb3, ID: 0x06078971}},
	{"attempt join", "436c697175650112 f0ff642c 0a1bce82 00 01 471df05c",
		Packet{Type: AttemptJoin, Sender: 0xf0ff642c, ID: 0x0a1bce82, Senders: []SenderID{0x471df05c}}},
	{"join", "436c697175650113 f0ff642c 0a1bce84 01 471df05c53174c1f 00",
		Packet{Type: Join, Sender: 0xf0ff642c, ID: 0x0a1bce84, Entries: []Entry{{0x471df05c, 0x53174c1f}}}},
	{"data", "436c69717565010f 471df05c 53174c20 01 f0ff642c0a1bce85 03 0000 0000000c 6265666f72652d6361726f6c",
		Packet{Type: Data, Sender: 0x471df05c, ID: 0x53174c20, Entries: []Entry{{0xf0ff642c, 0x0a1bce85}},
			Flags: Start | End, Total: 12, Payload: []byte("before-carol")}},
	{"no data", "436c697175650110 883338e4 262240d6 01 6df88be401347431",
		Packet{Type: NoData, Sender: 0x883338e4, ID: 0x262240d6, Entries: []Entry{{0x6df88be4, 0x01347431}}}},
	{"failure", "436c697175650111 374b5642 15cc721b 02 471df05c53174c42 f0ff642c0a1bce88 01 471df05c",
		Packet{Type: Failure, Sender: 0x374b5642, ID: 0x15cc721b,
			Entries: []Entry{{0x471df05c, 0x53174c42}, {0xf0ff642c, 0x0a1bce88}}, Senders: []SenderID{0x471df05c}}},
	{"bye", "436c697175650114 471df05c 53174c41 00", Packet{Type: Bye, Sender: 0x471df05c, ID: 0x53174c41}},
	{"first fragment", "436c69717565010f 8a52f4f8 669f94f4 01 810e52ac53a4d217 01 0000 000186a0" + strings.Repeat("78", 1408),
		Packet{Type: Data, Sender: 0x8a52f4f8, ID: 0x669f94f4, Entries: []Entry{{0x810e52ac, 0x53a4d217}},
			Flags: Start, Total: 100000, Payload: bytes.Repeat([]byte("x"), 1408)}},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// CQ-01: every type, byte for byte.
func TestGoldenPackets(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			p, err := ParsePacket(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.p, p); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			out, err := AppendPacket([]byte("before"), &tt.p)
			if err != nil || !bytes.Equal(out, append([]byte("before"), b...)) {
				t.Errorf("appended %x, %v; want %x", out, err, b)
			}
		})
	}
}

// CQ-01: what is cut off is no packet, nor what has a byte too many; but DATA may
// end anywhere in its payload.
func TestTruncatedPacketsAreRefused(t *testing.T) {
	for _, tt := range golden {
		b := unhex(t, tt.hex)
		shortest := len(b)
		if tt.p.Type == Data {
			shortest -= len(tt.p.Payload)
		}
		for n := range len(b) {
			if _, err := ParsePacket(b[:n]); (err == nil) != (n >= shortest) {
				t.Errorf("%s, %d bytes: %v", tt.name, n, err)
			}
		}
		if _, err := ParsePacket(append(b, 0)); (err == nil) != (tt.p.Type == Data) {
			t.Errorf("%s with a byte too many: %v", tt.name, err)
		}
	}
}

// CQ-01
func TestForeignDatagramsAreRefused(t *testing.T) {
	good := unhex(t, golden[9].hex)
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for _, v := range []byte{0, 2, 255} {
		if _, err := ParsePacket(with(6, v)); !errors.Is(err, errVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	for v := range 256 {
		known := v <= 3 || v >= 0x0f && v <= 0x14
		if _, err := ParsePacket(with(7, byte(v))); errors.Is(err, errType) == known {
			t.Errorf("type %#x: %v", v, err)
		}
	}
	for at := range 6 {
		if _, err := ParsePacket(with(at, 'x')); !errors.Is(err, errNotClique) {
			t.Errorf("another byte at %d: %v", at, err)
		}
	}
	long := unhex(t, golden[10].hex)
	if _, err := ParsePacket(append(long, make([]byte, maxReceived+1-len(long))...)); !errors.Is(err, errLong) {
		t.Errorf("1501 bytes: %v", err)
	}
}

// Names of 255 bytes are understood and never sent: gibber aborts.
func TestNames(t *testing.T) {
	for _, name := range []string{"", "a", "Jürgen@büro", strings.Repeat("n", 254), strings.Repeat("n", 255)} {
		raw := append(unhex(t, "436c697175650101 471df05c"), byte(len(name)))
		p, err := ParsePacket(append(raw, name...))
		if err != nil || p.Name != name {
			t.Errorf("%d bytes: %q, %v", len(name), p.Name, err)
		}
		if _, err := AppendPacket(nil, &p); (err != nil) != (len(name) > MaxName) {
			t.Errorf("%d bytes: %v", len(name), err)
		}
	}
}

func TestPacketsStayBelowTheLimit(t *testing.T) {
	entries := make([]Entry, 256)
	senders := make([]SenderID, 256)
	for _, tt := range []struct {
		name string
		p    Packet
		fits bool
	}{
		{"session of 178", Packet{Type: Session, Entries: entries[:178]}, true},
		{"session of 179", Packet{Type: Session, Entries: entries[:179]}, false},
		{"data with 177 entries", Packet{Type: Data, Entries: entries[:177]}, true},
		{"and a byte", Packet{Type: Data, Entries: entries[:177], Payload: []byte("x")}, false},
		{"data with 170 entries", Packet{Type: Data, Entries: entries[:170], Payload: make([]byte, 56)}, true},
		{"and a byte more", Packet{Type: Data, Entries: entries[:170], Payload: make([]byte, 57)}, false},
		{"full data", Packet{Type: Data, Payload: make([]byte, 1416)}, true},
		{"too full data", Packet{Type: Data, Payload: make([]byte, 1417)}, false},
		{"join with 255 failures", Packet{Type: Join, Senders: senders[:255]}, true},
		{"join with 256 failures", Packet{Type: Join, Senders: senders}, false},
		{"join with both", Packet{Type: Join, Entries: entries[:51], Senders: senders[:255]}, false},
	} {
		b, err := AppendPacket(nil, &tt.p)
		if (err == nil) != tt.fits || len(b) > MaxDatagram {
			t.Errorf("%s: %d bytes, %v", tt.name, len(b), err)
		}
	}
	all := append(unhex(t, "436c697175650110 883338e4 262240d6 ff"), make([]byte, 255*8)...)
	if _, err := ParsePacket(all); !errors.Is(err, errLong) {
		t.Errorf("255 entries are more than a datagram holds: %v", err)
	}
}

// CQ-06: ids go on at 0 after 2^32-1. gibber's own values where the two agree.
func TestPacketIDsWrap(t *testing.T) {
	for _, tt := range []struct {
		from, to PacketID
		want     int
	}{
		{10, 5, -5}, {1<<32 - 11, 10, 21}, {1<<32 - 1, 0, 1}, {0, 1<<32 - 1, -1}, {10, 1<<32 - 1, -11},
		{1<<32 - 70000, 70000, 140000}, // gibber takes it for a step back
		{5, 5, 0}, {0, 1<<31 - 1, 1<<31 - 1},
	} {
		if got := tt.to.diff(tt.from); got != tt.want {
			t.Errorf("%v is %d after %v, want %d", tt.to, got, tt.from, tt.want)
		}
		if tt.to.before(tt.from) != (tt.want < 0) {
			t.Errorf("%v before %v: %v", tt.to, tt.from, tt.to.before(tt.from))
		}
	}
}

func TestPacketsPrint(t *testing.T) {
	want := "FAILURE 374b5642 #15cc721b {471df05c:#53174c42 f0ff642c:#0a1bce88} [471df05c]"
	if got := golden[8].p.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
