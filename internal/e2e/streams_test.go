package e2e

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// streamOffice is an office with streams of data. Alice and carol are on h3,
// which reaches nothing but the server and the gateway's one port.
func streamOffice(t *testing.T) *Office {
	t.Helper()
	opt := OfficeOptions{FarHosts: 1, Users: []string{"alice", "carol"}}
	o := NewOffice(t, opt)
	opt.Config = map[string]any{"streams.enabled": true, "streams.host": o.Host("h1").Addr().String()}
	o.Host("h3").Output("ip", "route", "add", o.Host("h1").Addr().String()+"/32", "dev", "eth0")
	o.StartGateway(opt)
	return o
}

// onLAN runs meshgate stream on h2, for somebody without an account.
func (o *Office) onLAN(out io.Writer, action string, args ...string) *Proc {
	o.tb.Helper()
	return o.stream("h2", out, action, append([]string{"-lan"}, args...))
}

// remotely runs it on h3, for somebody with one.
func (o *Office) remotely(user string, out io.Writer, action string, args ...string) *Proc {
	o.tb.Helper()
	who := []string{"-account", o.Server.JID(user), "-server", o.Server.Addr(), "-ca-file", o.Server.CAFile}
	return o.stream("h3", out, action, append(who, args...))
}

func (o *Office) stream(host string, out io.Writer, action string, args []string) *Proc {
	o.tb.Helper()
	return o.Host(host).StartSpec(Spec{
		Name: "stream " + action + "@" + host, Args: append([]string{BuildGateway(o.tb, false), "stream", action}, args...),
		Env: []string{"MESHGATE_PASSWORD=" + UserPassword, "USER=bob"}, Out: out,
	})
}

// wantExit waits for the end of a command, and checks how it ended.
func wantExit(t *testing.T, p *Proc, code int) {
	t.Helper()
	if got := p.Wait(); got != code {
		t.Fatalf("%s: exit code %d, want %d\n%s", p.Name, got, code, p.Report())
	}
}

// finish runs a command to its end, and returns what it printed.
func finish(t *testing.T, p *Proc) string {
	t.Helper()
	wantExit(t, p, 0)
	return strings.Join(p.Lines(), "\n")
}

// A flood is data that nobody has to keep, and its hash as far as it was read.
type flood struct {
	r   *rand.ChaCha8
	sum hash.Hash
}

func newFlood(seed byte) *flood { return &flood{rand.NewChaCha8([32]byte{seed}), sha256.New()} }

func (f *flood) take(n int64) io.Reader { return io.TeeReader(io.LimitReader(f.r, n), f.sum) }

func wantSame(t *testing.T, what string, sent, got hash.Hash) {
	t.Helper()
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%s: other data has come", what)
	}
}

const (
	gib = 1 << 30
	mib = 1 << 20
	// mostMemory is what a process may take while 1 GiB passes through it.
	mostMemory = 64 * mib
)

// DS-19, DS-17, DS-12: somebody on the LAN without an account, and somebody with
// one far away, exchange data by the command: 1 GiB one way through pipes, while
// who and stats are asked by another command, and a file the other way, with TLS.
func TestTheCommandSendsAcrossTheWall(t *testing.T) {
	t.Parallel()
	o := streamOffice(t)
	got := sha256.New()
	receiver := o.remotely("alice", got, "receive", "-")
	receiver.Expect("^waiting for an invitation to alice@example.org/stream$")
	sender := o.onLAN(nil, "send", "-", o.Server.JID("alice"))
	stream := sender.Expect(`^the stream is (.+)$`)[1]
	receiver.Expect("^bob-stream@h2 sends stream$")
	sender.Expect("^alice@gw/stream is ready$")

	data, begun := newFlood(1), time.Now()
	sender.Feed(data.take(gib / 2))
	who := finish(t, o.onLAN(nil, "who", stream))
	for _, want := range []string{`bob-stream@h2 +master +connected`, `alice@gw/stream +slave +connected`} {
		if !regexp.MustCompile(want).MatchString(who) {
			t.Errorf("no %q in %s", want, who)
		}
	}
	if s := finish(t, o.onLAN(nil, "stats", "-json", stream)); !strings.Contains(s, `"slaves": 1,`) {
		t.Errorf("stats: %s", s)
	}
	sender.Feed(data.take(gib / 2))
	for _, p := range []*Proc{sender, receiver, o.Gateway.Proc} {
		if u := p.Usage(); u.PeakRSS > mostMemory {
			t.Errorf("%s took %d MiB", p.Name, u.PeakRSS/mib)
		}
	}
	sender.CloseInput()
	wantExit(t, sender, 0)
	wantExit(t, receiver, 0)
	t.Logf("1 GiB took %v", time.Since(begun))
	wantSame(t, "1 GiB", data.sum, got)
}
