package linklocal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
)

// openStream is a stream of alice@h1's to bob@h2, ready for stanzas.
func openStream(t testing.TB) *stream {
	t.Helper()
	s := newStream(epoch, testConfig(recipient))
	s.handleBytes(epoch, []byte(headerFrom("alice@h1", "bob@h2")))
	s.identified(epoch, "alice@h1", nil)
	if s.state != open {
		t.Fatalf("state %v", s.state)
	}
	s.takeOutput()
	return s
}

func TestBombsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, bomb string
		want       condition
	}{
		{"deep", "<message>" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</message>", policyViolation},
		{"many", "<message>" + strings.Repeat("<a/>", 9000) + "</message>", policyViolation},
		{"attributes", "<message" + strings.Repeat(" a='1'", 9000) + "/>", policyViolation},
		{"large", "<message><body>" + strings.Repeat("x", 70<<10), policyViolation},
		{"entities", "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>", restrictedXML},
		{"comment", "<!-- -->", restrictedXML},
		{"processing instruction", "<?php ?>", restrictedXML},
		{"text between stanzas", "hello", notWellFormed},
		{"header again", oldHeader + "</stream:stream>", unsupportedStanza},
	} {
		s := openStream(t)
		s.handleBytes(epoch, []byte(tt.bomb))
		if out := s.takeOutput(); s.state != refused || s.why != error(tt.want) || !bytes.Contains(out.Write, []byte("<"+string(tt.want))) {
			t.Errorf("%s: %v, %v, %s", tt.name, s.state, s.why, out.Write)
		}
	}
}

func TestStanzasCarryTheNamesOfTheStream(t *testing.T) {
	s := openStream(t)
	el := message("hi").WithAttr("from", "juliet@example.org/balcony").WithAttr("to", "nobody")
	got := string(s.appendStanza(nil, el))
	want := `<message type='chat' to='alice@h1' from='bob@h2'><body>hi</body></message>`
	if got != want { // LL-13
		t.Errorf("got %s", got)
	}
}

func TestOurStanzasKeepTheStreamOpen(t *testing.T) {
	s := openStream(t)
	now := epoch.Add(9 * time.Minute)
	s.touch(now)
	now = now.Add(9 * time.Minute)
	s.handleTimeout(now)
	if s.state != open {
		t.Fatalf("state %v", s.state)
	}
	s.handleTimeout(now.Add(time.Minute))
	if s.state != ending {
		t.Errorf("state %v after ten minutes of silence", s.state)
	}
}

// A fuzzedStream plays what surrounds a stream engine: it answers questions,
// does handshakes, and checks what comes out.
type fuzzedStream struct {
	*stream
	t       *testing.T
	now     time.Time
	written []byte // since the beginning, or since TLS
	secret  bool   // TLS is there
	told    bool   // that it is open
	known   []byte // the peer's key; nil: none yet
	shows   []byte // the key that it shows; nil: none
}

// drain takes the output until there is none.
func (f *fuzzedStream) drain() {
	for {
		out := f.takeOutput()
		f.written = append(f.written, out.Write...)
		f.check(out)
		switch {
		case out.Caller != nil:
			if f.state != identifying {
				f.t.Fatalf("question in state %v", f.state)
			}
			f.identified(f.now, "alice@h1", f.known)
		case out.Secure:
			wantOpen(f.t, f.written) // it begins anew
			f.written, f.secret = nil, true
			f.secured(f.now, f.shows, f.known)
		default:
			return
		}
	}
}

func (f *fuzzedStream) check(out streamOutput) {
	if out.Opened {
		switch {
		case f.told:
			f.t.Fatal("opened twice")
		case f.secret != f.secure:
			f.t.Fatalf("TLS: %v, taken for %v", f.secret, f.secure)
		case f.cfg.tls == Require && !f.secret, f.cfg.tls == Offer && f.known != nil && !f.secret:
			f.t.Fatal("a plain stream")
		case f.secret && f.known != nil && !bytes.Equal(f.known, f.shows):
			f.t.Fatal("another key")
		}
		f.told = true
	}
	if len(out.Messages) > 0 && !f.told {
		f.t.Fatalf("said before it was open: %v", out.Messages)
	}
	for _, m := range out.Messages {
		if from := Instance(m.Attr("from")); from != "" && from.Key() != "alice@h1" { // IJ-04
			f.t.Fatalf("delivered %v", m)
		}
	}
}

// FuzzStream feeds the engine anything, in pieces, and answers its questions.
// The bits of mode are: whether we call, the policy for TLS (2), whether the
// peer's key is known, and whether it shows that one, another or none (2).
func FuzzStream(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent strings.Builder
		var mode uint8
		for line := range strings.Lines(string(script)) {
			role, policy, _ := strings.Cut(strings.TrimSpace(line), " ")
			if in, ok := strings.CutPrefix(line, "> "); ok {
				sent.WriteString(strings.TrimSuffix(in, "\n"))
			} else if role == "recipient" || role == "initiator" {
				f.Add(sent.String(), uint8(7), mode)
				f.Add(sent.String(), uint8(60), mode|8)
				sent.Reset()
				mode = uint8(policyOf[policy]) << 1
				if role == "initiator" {
					mode |= 1
				}
			}
		}
		f.Add(sent.String(), uint8(0), mode)
	}
	f.Fuzz(func(t *testing.T, in string, size, mode uint8) {
		cfg := testConfig(recipient)
		if mode&1 != 0 {
			cfg = testConfig(initiator)
		}
		s := &fuzzedStream{t: t, now: epoch}
		cfg.tls = TLSPolicy(mode >> 1 & 3 % 3)
		if mode&8 != 0 {
			s.known = []byte("K1")
		}
		s.shows = [][]byte{[]byte("K1"), []byte("K2"), nil, nil}[mode>>4&3]
		if cfg.role == initiator {
			cfg.pin = s.known
		}
		s.stream = newStream(s.now, cfg)
		for len(in) > 0 {
			n := min(len(in), int(size)+1)
			s.handleBytes(s.now, []byte(in[:n]))
			in = in[n:]
			s.drain()
		}
		s.end(s.now)
		for range 4 {
			s.now = s.now.Add(time.Hour)
			s.drain()
			s.handleTimeout(s.now)
		}
		s.drain()
		if s.state != closed {
			t.Fatalf("state %v at the end", s.state)
		}
		wantWellFormed(t, s.written)
	})
}

// wantOpen checks that what we wrote is the beginning of a stream.
func wantOpen(t *testing.T, written []byte) {
	t.Helper()
	if bytes.Contains(written, []byte(endTag)) {
		t.Fatalf("end tag in %q", written)
	}
	wantWellFormed(t, append(bytes.Clone(written), endTag...))
}

// wantWellFormed checks that what we wrote is a stream from header to end tag.
func wantWellFormed(t *testing.T, written []byte) {
	t.Helper()
	_, body, ok := bytes.Cut(written, []byte("?>"))
	if !ok {
		t.Fatalf("no header in %q", written)
	}
	if bytes.Count(body, []byte(endTag)) != 1 || !bytes.HasSuffix(body, []byte(endTag)) {
		t.Fatalf("end tag in %q", written)
	}
	if _, err := stanza.Parse(body, stanza.NSClient, stanza.Limits{Nodes: 1 << 20}); err != nil {
		t.Fatalf("%v: %q", err, written)
	}
}
