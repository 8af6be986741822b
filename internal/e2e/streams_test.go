package e2e

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streamOffice is an office with streams of data. Alice and carol are on h3,
// which reaches nothing but the server and the gateway's one port. More keys of
// the configuration and their values may follow.
func streamOffice(t *testing.T, config ...any) *Office {
	t.Helper()
	opt := OfficeOptions{FarHosts: 1, Users: []string{"alice", "carol"}}
	o := NewOffice(t, opt)
	opt.Config = map[string]any{"streams.enabled": true, "streams.host": o.Host("h1").Addr().String()}
	for i := 0; i < len(config); i += 2 {
		opt.Config[config[i].(string)] = config[i+1]
	}
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
	half := time.Since(begun)
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
		u := p.Usage()
		t.Logf("%s: %d MiB, %v of CPU", p.Name, u.PeakRSS/mib, u.CPU)
		if u.PeakRSS > mostMemory {
			t.Errorf("%s took %d MiB", p.Name, u.PeakRSS/mib)
		}
	}
	sender.CloseInput()
	wantExit(t, sender, 0)
	wantExit(t, receiver, 0)
	t.Logf("half of it took %v, all with the questions %v", half, time.Since(begun))
	wantSame(t, "1 GiB", data.sum, got)
	for _, who := range []string{"bob-stream@h2", o.Server.JID("alice") + "/stream"} {
		o.Gateway.AwaitLog("a connection to a stream is awaited", "client", who)
	}
}

// DS-19, DS-01, DS-12: the other way round, with TLS; who is asked by another command
// of the same account, which throws nobody out.
func TestTheCommandSendsToTheLANWithTLS(t *testing.T) {
	t.Parallel()
	o := streamOffice(t)
	gateway := o.GatewayJID()
	got := sha256.New()
	receiver := o.onLAN(got, "receive", "-tls", "-from", "alice@gw", "-")
	receiver.Expect("^waiting for an invitation to bob-stream@h2$")
	sender := o.remotely("alice", nil, "send", "-tls", "-service", gateway, "-", "bob-stream@h2")
	stream := sender.Expect(`^the stream is (.+)$`)[1]
	sender.Expect("^bob-stream@h2 is ready$")
	data := newFlood(2)
	sender.Feed(data.take(8 * mib))
	if who := finish(t, o.remotely("alice", nil, "who", stream)); strings.Count(who, " connected") != 2 {
		t.Errorf("who: %s", who)
	}
	if s := finish(t, o.remotely("alice", nil, "stats", stream)); !regexp.MustCompile(`masters +1\n`).MatchString(s) {
		t.Errorf("stats: %s", s)
	}
	second := o.remotely("alice", nil, "send", "-stream", stream, "-")
	second.Expect("another meshgate stream is on that stream now")
	wantExit(t, second, 1)
	sender.Feed(data.take(8 * mib))
	sender.CloseInput()
	wantExit(t, sender, 0)
	wantExit(t, receiver, 0)
	wantSame(t, "with TLS", data.sum, got)
}

// DS-02, DS-07, DS-13: a stream is set up step by step, and joined in public by one who is far
// away and by one who is invited on the LAN.
func TestTheCommandGoesStepByStep(t *testing.T) {
	t.Parallel()
	o := streamOffice(t)
	gateway := o.GatewayJID()
	got := []hash.Hash{sha256.New(), sha256.New()}
	stream := finish(t, o.remotely("alice", nil, "create", "-public", "1", "-service", gateway))
	public := finish(t, o.remotely("carol", nil, "stats", "-service", gateway))
	address := regexp.MustCompile(`(?m)^(\S+) +0 of 1 `).FindStringSubmatch(public)
	if address == nil {
		t.Fatalf("public streams: %s", public)
	}
	bob := o.onLAN(got[0], "receive", "-")
	bob.Expect("^waiting for")
	finish(t, o.remotely("alice", nil, "invite", stream, "bob-stream@h2"))
	carol := o.remotely("carol", got[1], "join", address[1])
	for connected := 0; connected < 2; {
		connected = strings.Count(finish(t, o.remotely("alice", nil, "who", stream)), " connected")
	}
	sender := o.remotely("alice", nil, "send", "-stream", stream, "-")
	data := newFlood(3)
	sender.Feed(data.take(mib))
	sender.CloseInput()
	for _, p := range []*Proc{sender, bob, carol} {
		wantExit(t, p, 0)
	}
	wantSame(t, "bob", data.sum, got[0])
	wantSame(t, "carol", data.sum, got[1])
}

// IJ-07, DS-15: whoever may not is told, and the exit code says so; who is cut off in
// the midst of it is named, and the others get all; who stops says so to the others.
func TestTheCommandSaysWhatFails(t *testing.T) {
	t.Parallel()
	o := streamOffice(t, "streams.create", []any{"bob-stream@h2"}, "peers", []any{"*@h2"})
	failed := func(words string, code int, p *Proc) {
		t.Helper()
		p.Expect(words)
		wantExit(t, p, code)
	}
	failed("403 Forbidden: you may not create streams here", 1, o.remotely("alice", nil, "create", "-service", o.GatewayJID()))
	failed("no data stream service is there, or it is not there for you", 1, o.remotely("alice", nil, "create", "-service", o.Server.JID("carol")))
	failed("knows no such person, or lets you not invite them: nobody@gw/stream", 1, o.onLAN(nil, "send", "-", "nobody@gw"))
	failed("carol@gw/stream declines, or is not there", 1, o.onLAN(nil, "send", "-", "carol@gw"))
	failed("who are you", 2, o.stream("h2", nil, "create", nil))

	alice := o.remotely("alice", nil, "receive", o.Host("h3").Path(""))
	got := sha256.New()
	carol := o.remotely("carol", got, "receive", "-")
	alice.Expect("^waiting for")
	carol.Expect("^waiting for")
	sender := o.onLAN(nil, "send", "-", "alice@gw", "carol@gw")
	for _, who := range []string{"alice", "carol"} {
		sender.Expect("^" + who + "@gw/stream is ready$")
	}
	data := newFlood(4)
	sender.Feed(data.take(mib))
	alice.Kill()
	sender.Expect("^alice@gw/stream was cut off, and has not got all$")
	sender.Feed(data.take(mib))
	sender.CloseInput()
	failed("not everybody has got all: alice@gw/stream", 1, sender)
	wantExit(t, carol, 0)
	wantSame(t, "carol", data.sum, got)

	carol = o.remotely("carol", nil, "receive", o.Host("h3").Path(""))
	carol.Expect("^waiting for")
	sender = o.onLAN(nil, "send", "-", "carol@gw")
	sender.Expect("^carol@gw/stream is ready$")
	sender.Feed(data.take(mib))
	sender.Signal(syscall.SIGINT)
	failed("stopped", 1, sender)
	failed("the sender has given up on us: not all was sent", 1, carol)
	if left, err := filepath.Glob(o.Host("h3").Path("*stream*")); err != nil || left != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
