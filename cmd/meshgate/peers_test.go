package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meshgate/bridge/status"
	"meshgate/linklocal/doctor"
)

// A fakeMesh is who is on the LAN, for a server of status.
type fakeMesh struct {
	mu     sync.Mutex
	list   []status.Peer
	survey doctor.Server
	err    error // of the survey
}

func (m *fakeMesh) set(list ...status.Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = list
}

// fakeGateway answers at the path until the test ends.
func fakeGateway(t *testing.T, m *fakeMesh) (path string) {
	t.Helper()
	return served(t, status.Config{
		Survey: func(context.Context) (any, error) { return m.survey, m.err },
		Peers: func(context.Context) ([]status.Peer, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.list, nil
		},
	})
}

// served has a control socket of this kind there until the test ends.
func served(t *testing.T, cfg status.Config) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "control.sock")
	cfg.Path, cfg.Report = path, func() status.Report { return status.Report{Online: true} }
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- status.New(cfg).Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	for c := status.Dial(path); ; {
		if _, err := c.Report(ctx); err == nil {
			return path
		}
	}
}

func TestPeersPrintsTheTable(t *testing.T) {
	path := fakeGateway(t, &fakeMesh{list: somePeers()})
	var out, errs bytes.Buffer
	code := realMain([]string{"peers", "-socket", path}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	if lines := strings.Split(out.String(), "\n"); code != exitOK || len(lines) != 5 || !strings.HasPrefix(lines[2], "bob@h2 ") {
		t.Errorf("exit code %d, %s\n%s", code, &errs, &out)
	}
	out.Reset()
	code = realMain([]string{"peers", "-json", "-socket", path}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	var list []status.Peer
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || code != exitOK || len(list) != 3 || list[0].Name != "bob@h2" {
		t.Errorf("JSON: exit code %d, %v, %+v", code, err, list)
	}
}

func TestPeersFindsTheGatewayOfTheConfiguration(t *testing.T) {
	path := fakeGateway(t, &fakeMesh{list: somePeers()})
	file := filepath.Join(t.TempDir(), "meshgate.yaml")
	for text, want := range map[string]int{
		good + "control: " + path + "\n": exitOK,
		good + "control: off\n":          exitConfig,
		"account: {}\n":                  exitConfig,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := realMain([]string{"peers", "-config", file}, process{stdout: &out, stderr: &errs, getenv: noEnv}); code != want {
			t.Errorf("exit code %d, want %d, with\n%s%s", code, want, text, &errs)
		}
	}
}

func TestPeersWithoutGatewayHintsAtBrowse(t *testing.T) {
	var out, errs bytes.Buffer
	code := realMain([]string{"peers", "-socket", filepath.Join(t.TempDir(), "none")}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	if code != exitFailed || !strings.Contains(errs.String(), "no gateway runs here") || !strings.Contains(errs.String(), "meshgate browse") {
		t.Errorf("exit code %d, %q", code, &errs)
	}
}

func TestPeersFollowsUntilASignal(t *testing.T) {
	for _, tt := range []struct {
		flag  string
		wants []string
	}{
		{"-f", []string{" + bob@h2", " ~ bob@h2", " - bob@h2"}},
		{"-json", []string{`{"op":"+","peer":{"name":"bob@h2"`, `{"op":"~","peer":{"name":"bob@h2"`, `{"op":"-","peer":{"name":"bob@h2"`}},
	} {
		bob := somePeers()[0]
		m := &fakeMesh{list: []status.Peer{bob}}
		signals, code := make(chan os.Signal, 1), make(chan int, 1)
		r, w := io.Pipe()
		path := fakeGateway(t, m)
		go func() {
			code <- realMain([]string{"peers", "-f", tt.flag, "-socket", path}, process{stdout: w, stderr: w, getenv: noEnv, signals: signals})
			w.Close()
		}()
		lines := bufio.NewScanner(r)
		for i, want := range tt.wants {
			if !lines.Scan() || !strings.Contains(lines.Text(), want) {
				t.Fatalf("line %q, want one with %q", lines.Text(), want)
			}
			if i == 0 {
				bob.Status = "away"
				m.set(bob)
			} else {
				m.set()
			}
		}
		signals <- syscall.SIGTERM
		if got := <-code; got != exitOK {
			t.Errorf("exit code %d", got)
		}
	}
}

func TestTableIsDrawnAgainOnATerminal(t *testing.T) {
	m := &fakeMesh{list: somePeers()[:1]}
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	path := fakeGateway(t, m)
	go func() { done <- redraw(ctx, status.Dial(path), process{stdout: w}) }()
	lines := bufio.NewScanner(r)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("no line %q", text)
	}
	await(clearScreen + "NAME")
	await("bob@h2")
	m.set(somePeers()...)
	await(clearScreen + "NAME")
	await("Alice@gw")
	stop()
	go io.Copy(io.Discard, r)
	if err := <-done; err != context.Canceled {
		t.Errorf("redraw: %v", err)
	}
}

// The gateway itself answers at the socket that its configuration names.
func TestRunningGatewayAnswersAtItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	r := startWith(t, nil, "control: "+path+"\n")
	r.await("starting")
	go r.drain()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := status.Dial(path)
	for {
		report, err := c.Report(ctx)
		if err != nil && ctx.Err() == nil {
			continue
		}
		if err != nil || report.Version != buildVersion() || report.Online || !strings.HasPrefix(report.LAN, "LAN: ") || len(report.Parts) != 7 {
			t.Errorf("report: %+v, %v", report, err)
		}
		break
	}
	if list, err := c.Peers(ctx); err != nil || len(list) != 0 {
		t.Errorf("peers: %v, %v", list, err)
	}
	r.signals <- syscall.SIGTERM
	if code := <-r.exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left behind")
	}
}
