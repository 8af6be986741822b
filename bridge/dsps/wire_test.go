package dsps

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// DS-10: the block of the document, byte for byte.
func TestBlockOfTheDocument(t *testing.T) {
	const data = "this is the data in ASCII form"
	const want = "0340\r010\r"
	if got := AppendBlock(nil, Block{"010", int64(len(data))}); string(got) != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	h, n, err := ParseBlock([]byte(want + data))
	if err != nil || n != len(want) || h != (Block{"010", int64(len(data))}) {
		t.Errorf("read %+v, %d bytes, %v", h, n, err)
	}
	for i := range want {
		if _, n, err := ParseBlock([]byte(want[:i])); n != 0 || err != nil {
			t.Errorf("of %q: %d bytes, %v", want[:i], n, err)
		}
	}
}

func TestSizesOfBlocks(t *testing.T) { // DS-10
	for _, tt := range []struct {
		head string
		size int64 // of the data; -1: refused
	}{
		{"010\r\r", 0}, {"020\rx\r", 0}, {"021\rx\r", 2046}, {"012\rid\r", 1<<20 - 3}, {"0190\r\r", 18},
		{"01A\r\r", -1}, // 1024^10
		{"076\r\r", 7<<60 - 1}, {"086\r\r", -1},
		{"000\r\r", -1}, {"0030\r\r", -1}, {"01\r\r", -1}, {"0\r", -1}, {"01a\r", -1}, {"0-10\r", -1}, {"1", -1},
		{"010\rx\r", -1}, // ends in its id
		{"0" + strings.Repeat("1", 25), -1},
		{"0990\r" + strings.Repeat("i", maxBlockID+1), -1},
		{"0999999999999999999990\r\r", -1},
	} {
		h, n, err := ParseBlock([]byte(tt.head))
		if got := err == nil; got != (tt.size >= 0) || got && (h.Size != tt.size || n != len(tt.head)) {
			t.Errorf("%q: %+v, %d bytes, %v; want %d", tt.head, h, n, err, tt.size)
		}
	}
}

// DS-10: what has come is read, whether more comes or not, and in whatever pieces.
func TestBlocksAreReadAsTheyCome(t *testing.T) {
	const in = "020\r1\r" + "040\r2\rab" + "030\r3\rc"
	for n := 1; n <= len(in); n++ {
		ours, theirs := io.Pipe()
		go func() {
			for i := 0; i < len(in); i += n {
				_, _ = io.WriteString(theirs, in[i:min(i+n, len(in))])
			}
		}() // and then silence
		r, got := NewBlockReader(ours), ""
		for len(got) < len("2a2b3c") {
			var b [1]byte
			if _, err := io.ReadFull(r, b[:]); err != nil {
				t.Fatal(err)
			}
			got += r.ID() + string(b[:])
		}
		if got != "2a2b3c" {
			t.Errorf("by %d: %q", n, got)
		}
		ours.Close()
	}
	for end, want := range map[string]error{"": io.EOF, "0": io.ErrUnexpectedEOF, "050\rx\rab": io.ErrUnexpectedEOF} {
		if _, err := io.Copy(io.Discard, NewBlockReader(strings.NewReader(in+end))); err != want && (err != nil || want != io.EOF) {
			t.Errorf("%q: %v, want %v", end, err, want)
		}
	}
}

func TestHelloOfTheDocument(t *testing.T) { // DS-04
	line := AppendHello(nil, jRob, jA33)
	if want := string(jRob + " " + jA33 + "\r"); string(line) != want {
		t.Errorf("wrote %q, want %q", line, want)
	}
	if got := hellos("a b@c/d e f/g h"); len(got) != 4 || got[2] != (pair{"a b@c/d e", "f/g h"}) {
		t.Errorf("an address with spaces: %q", got)
	}
	if got := hellos(strings.Repeat(" a", 1000)); len(got) > maxSplits {
		t.Errorf("%d ways to read a line", len(got))
	}
	for _, line := range []string{"", " ", "a ", " a", "a\x01 b"} {
		if got := hellos(line); len(got) != 0 {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// script is what a preamble makes of a connection whose bytes come in pieces of n.
func script(in []byte, n int) string {
	var p preamble
	var out strings.Builder
	for len(in) > 0 {
		k := min(n, len(in))
		p.add(in[:k])
		in = in[k:]
		for {
			s, line, err := p.next()
			if err != nil {
				fmt.Fprintf(&out, "error http=%v\n", p.inHTTP())
				return out.String()
			}
			if s == stepNone {
				break
			}
			fmt.Fprintf(&out, "%d %s\n", s, line)
			if s == stepKey {
				fmt.Fprintf(&out, "data %q\n", append(p.rest(), in...))
				return out.String()
			}
		}
	}
	return out.String()
}

const httpLines = "GET /DSPS/STREAM/ HTTP/1.0\r\nHost: dsps.server\r\n\r\n"

// DS-01: the three handshakes, with each ending of lines, in pieces of any size.
func TestPreambles(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a b\rkey\rdata", "3 a b\n4 key\ndata \"data\"\n"},
		{"a b\nkey\n\rdata", "3 a b\n4 key\ndata \"\\rdata\"\n"},
		{"a b\r\nkey\r\n\ndata", "3 a b\n4 key\ndata \"\\ndata\"\n"},
		{"a b\rkey\r\ndata", "3 a b\n4 key\ndata \"\\ndata\"\n"}, // CR it was
		{"starttls\ra b\rkey\r", "2 \n3 a b\n4 key\ndata \"\"\n"},
		{httpLines + "a b\rkey\r\ndata", "1 \n3 a b\n4 key\ndata \"\\ndata\"\n"},
		{httpLines + "a b\r\nkey\r\n", "1 \n3 a b\n4 key\ndata \"\"\n"},
		{strings.ReplaceAll(httpLines, "\r\n", "\r") + "starttls\ra b\rkey\r", "1 \n2 \n3 a b\n4 key\ndata \"\"\n"},
		{strings.Replace(httpLines, "1.0", "1.1", 1), "1 \n"},
		{"starttls\rstarttls\r", "2 \n3 starttls\n"},
		{"starttls\rGET / HTTP/1.0\r", "2 \n3 GET / HTTP/1.0\n"},
		{"GET / HTTP/1.0\r\n\r\n", "error http=true\n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\nno header\r\n", "error http=true\n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\n Host: x\r\n", "error http=true\n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\nContent-Length: 5\r\n", "error http=true\n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "1 \n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\ntransfer-encoding: chunked\r\n", "error http=true\n"},
		{"GET /DSPS/STREAM/ HTTP/1.0\r\n" + strings.Repeat("a: b\r\n", maxHeaders+1), "error http=true\n"},
		{"a b\r\nkey\rmore\r\n", "3 a b\nerror http=false\n"},
		{"a\x00 b\r", "error http=false\n"},
		{strings.Repeat("a", maxLine+2), "error http=false\n"},
	} {
		for _, n := range []int{1, 2, 7, 1 << 20} {
			if got := script([]byte(tt.in), n); got != tt.want {
				t.Errorf("%.60q by %d:\n got %q\nwant %q", tt.in, n, got, tt.want)
			}
		}
	}
}

func TestSecondRequestIsAFirstLine(t *testing.T) {
	if got, want := script([]byte(httpLines+httpLines), 9), "1 \n3 GET /DSPS/STREAM/ HTTP/1.0\n4 Host: dsps.server\ndata \"\\r\\n\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzPreamble(f *testing.F) {
	f.Add([]byte("a b\rkey\rdata"), uint8(1))
	f.Add([]byte(httpLines+"starttls\r\na b\r\nkey\r\n"), uint8(3))
	f.Add([]byte("GET /DSPS/STREAM/ HTTP/1.1\nContent-Length: 0\nX: y\n\na b\rkey\r\n"), uint8(2))
	f.Add([]byte("GET /DSPS/STREAM/ HTTP/1.1\r\ntransfer-Encoding: x\r\n\r\n"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		whole, pieces := script(in, len(in)+1), script(in, int(n)+1)
		// What an overlong line is depends on how much is there to see.
		if whole != pieces && len(in) < maxLine {
			t.Errorf("at once %q, by %d %q", whole, int(n)+1, pieces)
		}
		if want := dumbPreamble(string(in)); whole != want && len(in) < maxLine {
			t.Errorf("%q:\n got %q\nwant %q", in, whole, want)
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("0340\r010\rthis is the data in ASCII form"))
	f.Add([]byte("071\r\r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseBlock(b)
		if err != nil || n == 0 {
			return
		}
		if h.Size < 0 || n > maxBlockHead || bytes.IndexByte([]byte(h.ID), cr) >= 0 {
			t.Fatalf("%+v of %d bytes", h, n)
		}
		if again, _, err := ParseBlock(AppendBlock(nil, h)); err != nil || again != h {
			t.Errorf("%+v, written and read again %+v, %v", h, again, err)
		}
	})
}
