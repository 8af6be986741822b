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

// FuzzStream feeds the engine anything, in pieces, and answers its questions.
func FuzzStream(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent strings.Builder
		for line := range strings.Lines(string(script)) {
			if in, ok := strings.CutPrefix(line, "> "); ok {
				sent.WriteString(strings.TrimSuffix(in, "\n"))
			} else if line == "recipient\n" || line == "initiator\n" {
				f.Add(sent.String(), uint8(7), line == "initiator\n")
				sent.Reset()
			}
		}
		f.Add(sent.String(), uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, in string, size uint8, calls bool) {
		r := recipient
		if calls {
			r = initiator
		}
		s, now := newStream(epoch, testConfig(r)), epoch
		var written []byte
		for len(in) > 0 {
			n := min(len(in), int(size)+1)
			s.handleBytes(now, []byte(in[:n]))
			in = in[n:]
			out := s.takeOutput()
			written = append(written, out.Write...)
			if out.Caller != nil {
				if s.state != identifying || len(out.Messages) > 0 && s.cfg.peer == "" {
					t.Fatalf("question in state %v, with %d messages", s.state, len(out.Messages))
				}
				s.identified(now, "alice@h1", nil)
				out = s.takeOutput()
				written = append(written, out.Write...)
			}
			for _, m := range out.Messages {
				if from := Instance(m.Attr("from")); from != "" && from.Key() != "alice@h1" { // IJ-04
					t.Fatalf("delivered %v", m)
				}
			}
		}
		s.end(now)
		for range 4 {
			now = now.Add(time.Hour)
			s.handleTimeout(now)
		}
		written = append(written, s.takeOutput().Write...)
		if s.state != closed {
			t.Fatalf("state %v at the end", s.state)
		}
		wantWellFormed(t, written)
	})
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
