package linklocal

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/*.txt")

var epoch = time.Unix(1_000_000_000, 0)

func testConfig(r role) streamConfig {
	cfg := streamConfig{
		role: r, local: "bob@h2", caps: newCaps("", nil), maxStanza: 64 << 10,
		idle: 10 * time.Minute, header: 10 * time.Second, caller: time.Minute,
		negotiate: 2 * time.Second, handshake: 10 * time.Second, close: 2 * time.Second,
	}
	if r == initiator {
		cfg.peer = "alice@h1"
	}
	return cfg
}

// TestScripts plays testdata/*.txt. A line that begins with # is a remark,
// one that is indented a result, any other an input:
//
//	initiator | recipient        a new stream of bob@h2; behind it offer or require: the policy for TLS
//	pin KEY                      the key that alice@h1 is known by, from now on
//	secured KEY                  the TLS handshake is done; no KEY: without a certificate
//	> BYTES                      the peer sends this; \n is a line feed
//	identified NAME              the Service knows who calls
//	refuse CONDITION             or does not
//	end                          we end the stream
//	eof                          the peer closes the connection
//	after DURATION               time passes
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(script))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(script), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	var b strings.Builder
	var s *stream
	now := epoch
	var pin []byte
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&b, line)
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "", "#":
			continue
		case "initiator":
			cfg := testConfig(initiator)
			cfg.tls, cfg.pin = policyOf[arg], pin
			s = newStream(now, cfg)
		case "recipient":
			cfg := testConfig(recipient)
			cfg.tls = policyOf[arg]
			s = newStream(now, cfg)
		case "pin":
			pin = bytesOf(arg)
			continue
		case "secured":
			s.secured(now, bytesOf(arg), pin)
		case ">":
			s.handleBytes(now, []byte(strings.ReplaceAll(arg, `\n`, "\n")))
		case "identified":
			s.identified(now, Instance(arg), pin)
		case "refuse":
			s.refuse(now, condition(arg))
		case "end":
			s.end(now)
		case "eof":
			s.handleEOF(nil)
		case "after":
			d, err := time.ParseDuration(arg)
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
			s.handleTimeout(now)
		default:
			t.Fatalf("what is %q?", line)
		}
		report(&b, s)
	}
	return b.String()
}

var policyOf = map[string]TLSPolicy{"": Off, "offer": Offer, "require": Require}

// bytesOf is nil for nothing.
func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func report(b *strings.Builder, s *stream) {
	out := s.takeOutput()
	if len(out.Write) > 0 {
		fmt.Fprintf(b, "  write %s\n", out.Write)
	}
	if out.Pin != nil {
		fmt.Fprintf(b, "  remember %s\n", out.Pin)
	}
	if out.Opened {
		fmt.Fprintf(b, "  opened, TLS %v\n", s.secure)
	}
	for _, m := range out.Messages {
		fmt.Fprintf(b, "  message %s\n", m)
	}
	if q := out.Caller; q != nil {
		fmt.Fprintf(b, "  who is it? claims %q\n", q.Claim)
	}
	if c := out.Counts; c.Answered+c.Refused+c.Ignored > 0 {
		fmt.Fprintf(b, "  answered %d, refused %d, ignored %d\n", c.Answered, c.Refused, c.Ignored)
	}
	if out.Secure {
		fmt.Fprintln(b, "  handshake")
	}
	fmt.Fprintf(b, "  %v", s.state)
	if out.Close {
		fmt.Fprint(b, ", close")
	}
	if s.why != nil {
		fmt.Fprintf(b, " (%v)", s.why)
	}
	fmt.Fprintln(b)
}
