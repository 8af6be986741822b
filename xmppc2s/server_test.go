package xmppc2s_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// servers runs a test against each kind of real server, beside other tests.
func servers(t *testing.T, test func(*testing.T, *e2e.Server)) {
	t.Parallel()
	opt := e2e.ServerOptions{Users: map[string]string{"alice": "a", "bob": "b"}}
	for kind, begin := range map[string]func(*e2e.Host) *e2e.Server{
		"prosody":  func(h *e2e.Host) *e2e.Server { return h.Prosody(opt) },
		"ejabberd": func(h *e2e.Host) *e2e.Server { return h.Ejabberd(opt) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e2e.Require(t)
			test(t, begin(e2e.Local(t)))
		})
	}
}

func TestRealServersLetUsInAndSayWhyNot(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		good := account(t, s, "alice", "a")
		pin := leafPin(t, s)
		host, directPort := split(t, s.DirectTLSAddr())
		for name, tc := range map[string]struct {
			change func(*xmppc2s.Config)
			want   xmppc2s.Problem // Trouble: it works
			words  string
		}{
			"starttls":       {func(*xmppc2s.Config) {}, 0, ""},
			"direct TLS":     {func(c *xmppc2s.Config) { c.Host, c.Port, c.DirectTLS = host, directPort, true }, 0, ""},
			"wrong password": {func(c *xmppc2s.Config) { c.Password = "b" }, xmppc2s.WrongLogin, "wrong password or unknown account"},
			"bad CA":         {func(c *xmppc2s.Config) { c.RootCAs = x509.NewCertPool() }, xmppc2s.Untrusted, "ca_file"},
			"pin":            {func(c *xmppc2s.Config) { c.RootCAs, c.Pins = nil, [][]byte{pin} }, 0, ""},
			"wrong pin":      {func(c *xmppc2s.Config) { c.Pins = [][]byte{make([]byte, 32)} }, xmppc2s.Untrusted, fmt.Sprintf("%x", pin)},
			"wrong domain": {func(c *xmppc2s.Config) {
				c.JID, c.RootCAs, c.Pins = parse("alice@elsewhere.example"), nil, [][]byte{pin}
			}, xmppc2s.NotServed, "elsewhere.example"},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := good
				cfg.JID = parse(good.JID.String() + "/" + strings.ReplaceAll(name, " ", "-"))
				tc.change(&cfg)
				_, h, _ := start(t, cfg)
				if tc.want == 0 {
					h.await("online", isOnline)
					return
				}
				off := h.await("offline", isOffline).(xmppc2s.Offline)
				e, ok := errors.AsType[*xmppc2s.Error](off.Err)
				if !ok || e.Problem != tc.want || !strings.Contains(e.Text, tc.words) {
					t.Errorf("offline because of %#v, want %v with %q", off.Err, tc.want, tc.words)
				}
				if !off.Fatal || off.Retry < time.Minute {
					t.Errorf("fatal %v, retry in %v: want fatal, and slowly", off.Fatal, off.Retry)
				}
			})
		}
	})
}

// leafPin is the SHA-256 of the server's key.
func leafPin(t *testing.T, s *e2e.Server) []byte {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(s.CAFile), "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return sum[:]
}

// SM-03, SM-04, SM-07: connections that break in the middle of traffic lose
// nothing and double nothing.
func TestNothingIsLostOrDoubledThroughTenCuts(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		const rounds, each = 10, 50
		proxy := s.Host().Proxy(s.LoopbackAddr())
		cfg := account(t, s, "alice", "a")
		cfg.Host, cfg.Port = split(t, proxy.Addr())
		cfg.Contacts = append(cfg.Contacts, parse(s.JID("bob")))
		alice, ha, _ := start(t, cfg)
		bob, hb, _ := start(t, account(t, s, "bob", "b"))
		ha.await("alice online", isOnline)
		hb.await("bob online", isOnline)
		rnd := rand.New(rand.NewPCG(1, 2))
		for round := range rounds {
			proxy.CutAfter(1+rnd.Int64N(3000), e2e.Direction(round%2))
			for i := range each {
				id := fmt.Sprint(round*each + i)
				send(t, alice, chat(s.JID("bob")+"/meshgate", id+strings.Repeat("x", rnd.IntN(2500))).WithAttr("id", id))
				send(t, bob, chat(s.JID("alice")+"/meshgate", id+strings.Repeat("y", rnd.IntN(2500))).WithAttr("id", id))
			}
			ha.awaitAll("resumption", func(evs []xmppc2s.Event) bool { return resumptions(evs) >= round+1 })
		}
		ha.awaitAll("all of bob's", func(evs []xmppc2s.Event) bool { return len(ids(evs)) >= rounds*each })
		hb.awaitAll("all of alice's", func(evs []xmppc2s.Event) bool { return len(ids(evs)) >= rounds*each })
		for name, h := range map[string]*tail{"alice": ha, "bob": hb} {
			seen := map[string]int{}
			for _, id := range ids(h.seen()) {
				seen[id]++
			}
			for i := range rounds * each {
				if n := seen[fmt.Sprint(i)]; n != 1 {
					t.Errorf("%s got message %d %d times", name, i, n)
				}
			}
		}
		if n := countFresh(ha.seen()); n != 1 {
			t.Errorf("%d sessions, want one for all: %+v", n, alice.Stats())
		}
	})
}

func send(t *testing.T, c *xmppc2s.Client, st *stanza.Element) {
	t.Helper()
	if err := c.Send(st); err != nil {
		t.Fatal(err)
	}
}

func resumptions(evs []xmppc2s.Event) (n int) {
	for _, ev := range evs {
		if on, ok := ev.(xmppc2s.Online); ok && on.Resumed {
			n++
		}
	}
	return n
}

func countFresh(evs []xmppc2s.Event) (n int) {
	for _, ev := range evs {
		if on, ok := ev.(xmppc2s.Online); ok && !on.Resumed {
			n++
		}
	}
	return n
}

func ids(evs []xmppc2s.Event) (list []string) {
	for _, ev := range evs {
		if m, ok := ev.(xmppc2s.Message); ok && m.Stanza.Attr("type") == "chat" {
			list = append(list, m.Stanza.Attr("id"))
		}
	}
	return list
}

// SM-09: a server that restarts has forgotten the session; nothing is lost.
func TestNothingIsLostThroughARestartOfProsody(t *testing.T) {
	t.Parallel()
	e2e.Require(t)
	s := e2e.Local(t).Prosody(e2e.ServerOptions{Users: map[string]string{"alice": "a", "bob": "b"}})
	alice, ha, _ := start(t, account(t, s, "alice", "a"))
	_, hb, _ := start(t, account(t, s, "bob", "b"))
	ha.await("alice online", isOnline)
	hb.await("bob online", isOnline)
	const each = 100
	for i := range 2 * each {
		if i == each {
			s.Restart()
		}
		send(t, alice, chat(s.JID("bob"), "x").WithAttr("id", fmt.Sprint(i)))
	}
	hb.awaitAll("all messages", func(evs []xmppc2s.Event) bool {
		seen := map[string]bool{}
		for _, id := range ids(evs) {
			seen[id] = true
		}
		return len(seen) == 2*each
	})
}
