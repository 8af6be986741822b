package status

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	bob   = Peer{Name: "bob@h2", Client: "libpurple 2.14.12", Status: "avail", Addrs: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")},
		Port: 5298, Links: []string{"eth0"}, Since: began, Changed: began}
	alice = Peer{Name: "alice@gw", Own: "alice@example.org", Status: "away", Since: began, Changed: began}
)

// A gateway is what a server asks in these tests.
type gateway struct {
	mu    sync.Mutex
	peers []Peer
	err   error
}

func (g *gateway) set(err error, peers ...Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers, g.err = peers, err
}

func (g *gateway) list(context.Context) ([]Peer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers, g.err
}

func (g *gateway) config(path string) Config {
	return Config{
		Path:   path,
		Health: func(ctx context.Context) error { _, err := g.list(ctx); return err },
		Report: func() Report {
			return Report{Version: "v1", PID: 7, Started: began, LAN: "present", Server: "offline", Parts: map[string]any{"hub": map[string]any{"n": 1.0}}}
		},
		Peers:  g.list,
		Survey: func(ctx context.Context) (any, error) { _, err := g.list(ctx); return map[string]int{"offers": 7}, err },
	}
}

// serve runs a server until the test ends, or stop is called.
func serve(t *testing.T, g *gateway, path string) (c *Client, stop func()) {
	t.Helper()
	return serveConfig(t, g.config(path))
}

func serveConfig(t *testing.T, cfg Config) (c *Client, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(cfg).Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	c = Dial(cfg.Path)
	for {
		if _, err := c.Report(ctx); err == nil {
			return c, stop
		}
		select {
		case err := <-done:
			t.Fatalf("Run ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "control.sock") }

func TestServerTellsHowTheGatewayIs(t *testing.T) {
	g := &gateway{peers: []Peer{alice, bob}}
	path := socketPath(t)
	c, _ := serve(t, g, path)
	got, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.config("").Report(), got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	list, err := c.Peers(t.Context())
	if diff := cmp.Diff([]Peer{alice, bob}, list, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" {
		t.Errorf("peers (-want +got): %v\n%s", err, diff)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", fi.Mode(), err)
	}
}

func TestServerPassesTheSurveyOn(t *testing.T) {
	g := &gateway{}
	c, _ := serve(t, g, socketPath(t))
	var got struct{ Offers int }
	if err := c.Survey(t.Context(), &got); err != nil || got.Offers != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	g.set(errors.New("no password"))
	if err := c.Survey(t.Context(), &got); err == nil || !strings.Contains(err.Error(), "no password") {
		t.Errorf("a survey that fails: %v", err)
	}
}

func TestServerSaysWhyItCannotTell(t *testing.T) {
	g := &gateway{err: errors.New("the hub hangs")}
	c, _ := serve(t, g, socketPath(t))
	if _, err := c.Peers(t.Context()); err == nil || !strings.Contains(err.Error(), "the hub hangs") {
		t.Errorf("peers: %v", err)
	}
	if _, err := c.get(t.Context(), "/healthz"); err == nil || !strings.Contains(err.Error(), "the hub hangs") {
		t.Errorf("healthz: %v", err)
	}
	if _, err := c.get(t.Context(), "/else"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("else: %v", err)
	}
	g.set(nil)
	body, err := c.get(t.Context(), "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
}

func TestFollowerHearsEveryChange(t *testing.T) {
	g := &gateway{peers: []Peer{alice}}
	c, stop := serve(t, g, socketPath(t))
	heard := make(chan []Change)
	over := make(chan error, 1)
	go func() {
		over <- c.Follow(t.Context(), func(changes []Change) {
			select {
			case heard <- changes:
			case <-t.Context().Done():
			}
		})
	}()
	ops := func() (s string) {
		for _, ch := range <-heard {
			s += ch.Op + ch.Peer.Name + " "
		}
		return s
	}
	away := bob
	away.Status = "away"
	for _, step := range []struct {
		peers []Peer
		want  string
	}{
		{[]Peer{alice}, "+alice@gw "},
		{[]Peer{alice, bob}, "+bob@h2 "},
		{[]Peer{alice, away}, "~bob@h2 "},
		{nil, "-alice@gw -bob@h2 "},
	} {
		g.set(nil, step.peers...)
		if got := ops(); got != step.want {
			t.Errorf("heard %q, want %q", got, step.want)
		}
	}
	stop() // ends the stream too
	if err := <-over; !errors.Is(err, ErrEnded) {
		t.Errorf("Follow: %v", err)
	}
}

func TestFollowerHearsThatNobodyIsThere(t *testing.T) {
	c, _ := serve(t, &gateway{}, socketPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := c.Follow(ctx, func(changes []Change) {
		if calls++; len(changes) != 0 {
			t.Errorf("changes: %v", changes)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestStaleSocketIsReplacedAndALivingOneIsNot(t *testing.T) {
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after a kill -9
	dead.Close()
	ln, err := listen(path)
	if err != nil {
		t.Fatalf("with a stale socket: %v", err)
	}
	defer ln.Close()
	if _, err := listen(path); err == nil || !strings.Contains(err.Error(), "belongs to a gateway that runs") {
		t.Errorf("with a living one: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the living one is gone: %v", err)
	} else {
		c.Close()
	}
	file := socketPath(t)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("with a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

func TestWithoutDirectoryTheGatewayGoesOn(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none", "control.sock")} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(Config{Path: path}).Run(ctx) }()
		select {
		case err := <-done:
			t.Errorf("%q: ended with %v", path, err)
		case <-time.After(20 * time.Millisecond):
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestRosterAppliesWhatItFindsChanged(t *testing.T) {
	a, b := Roster{}, Roster{}
	away := bob
	away.Status = "away"
	for _, list := range [][]Peer{{alice, bob}, {alice, bob}, {away}, {alice}, {}} {
		b.Apply(a.Update(list))
		if diff := cmp.Diff(list, b.List(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", list, diff)
		}
	}
}
