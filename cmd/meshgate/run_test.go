package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A running is the program under way in this process.
type running struct {
	t       *testing.T
	file    string
	log     *bufio.Scanner
	signals chan os.Signal
	killed  chan int
	exit    chan int
}

// lonely is a configuration with a server that refuses and a LAN that is not there.
const lonely = `
account: {jid: gw@example.org, password: secret, server: "127.0.0.1:%d", tls: none}
lan: {interfaces: [none0], machine: gw, discover: false}
contacts: [{jid: bob@example.org}]
peers: ["*@h2"]
`

// closedPort is a port of loopback at which nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func start(t *testing.T, env map[string]string) *running {
	t.Helper()
	return startWith(t, env, "control: off\n")
}

// startWith is start with more lines in the configuration.
func startWith(t *testing.T, env map[string]string, lines string) *running {
	t.Helper()
	return startIn(t, t.TempDir(), env, lines)
}

// startIn is startWith in a directory, with the state in "state".
func startIn(t *testing.T, dir string, env map[string]string, lines string) *running {
	t.Helper()
	r := &running{
		t: t, file: filepath.Join(dir, "meshgate.yaml"),
		signals: make(chan os.Signal, 4), killed: make(chan int, 1), exit: make(chan int, 1),
	}
	if err := os.WriteFile(r.file, fmt.Appendf(nil, lonely+"state_dir: state\n"+lines, closedPort(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	pr, pw := io.Pipe()
	r.log = bufio.NewScanner(pr)
	p := process{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: pw, signals: r.signals,
		getenv: func(k string) string { return env[k] },
		kill:   func(code int) { r.killed <- code },
	}
	go func() {
		r.exit <- realMain([]string{"run", "-config", r.file}, p)
		pw.Close()
	}()
	return r
}

// await reads the log up to a record with that message.
func (r *running) await(msg string) map[string]any {
	r.t.Helper()
	for r.log.Scan() {
		var rec map[string]any
		if err := json.Unmarshal(r.log.Bytes(), &rec); err != nil {
			r.t.Fatalf("log line %q: %v", r.log.Text(), err)
		}
		if rec["msg"] == msg {
			return rec
		}
	}
	r.t.Fatalf("the log ended without %q", msg)
	return nil
}

// drain reads the rest of the log.
func (r *running) drain() {
	for r.log.Scan() {
	}
}

func (r *running) end() int {
	r.drain()
	return <-r.exit
}

func TestSignalStopsInOrderAndLogsCounters(t *testing.T) {
	r := start(t, nil)
	if rec := r.await("starting"); rec["jid"] != "gw@example.org" {
		t.Errorf("starting: %v", rec)
	}
	r.signals <- syscall.SIGTERM
	r.await("stopping")
	for _, part := range []string{"server", "hub", "rooms", "mdns", "clique", "linklocal", "state"} {
		if rec := r.await("counters"); rec["part"] != part {
			t.Errorf("counters of %v, want %s", rec["part"], part)
		}
	}
	r.await("stopped")
	if code := r.end(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestHangupChecksTheFileAndStopsNothing(t *testing.T) {
	r := start(t, nil)
	r.await("starting")
	r.signals <- syscall.SIGHUP
	r.await("the configuration is good, restart meshgate to apply it")
	if err := os.WriteFile(r.file, []byte("account: {jdi: x}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.signals <- syscall.SIGHUP
	r.await("configuration")
	r.await("the configuration is wrong, nothing changes")
	r.signals <- os.Interrupt
	if code := r.end(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestServiceManagerIsToldStatusAndStop(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := start(t, map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"})
	go r.drain()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	want := []string{"STATUS=LAN: not there yet; server: offline", "WATCHDOG=1", "STOPPING=1"}
	b := make([]byte, 4096)
	for len(want) > 0 {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v", want[0], err)
		}
		if bytes.HasPrefix(b[:n], []byte("READY=1")) {
			t.Error("ready without a LAN")
		}
		if !bytes.HasPrefix(b[:n], []byte(want[0])) {
			continue
		}
		if want = want[1:]; len(want) == 1 {
			r.signals <- syscall.SIGTERM
		}
	}
	if code := <-r.exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondSignalKills(t *testing.T) {
	for first, want := range map[os.Signal]int{syscall.SIGTERM: 0, os.Interrupt: 0, syscall.SIGUSR1: 1} {
		signals, over, code := make(chan os.Signal), make(chan struct{}), make(chan int, 1)
		told := make(chan bool)
		stops, leaves := 0, 0
		p := process{signals: signals, kill: func(c int) { code <- c }}
		go func() {
			o := orders{reload: func() {}, leave: func() { leaves++ }}
			told <- handleSignals(over, func() { stops++ }, p, slog.New(slog.DiscardHandler), o)
		}()
		signals <- first
		signals <- os.Interrupt
		if c := <-code; c != exitFailed {
			t.Errorf("killed with exit code %d, want %d", c, exitFailed)
		}
		close(over)
		if !<-told || stops != 1 || leaves != want {
			t.Errorf("%v: stopped %d times, want once; %d times for good, want %d", first, stops, leaves, want)
		}
	}
}

func TestMissingPasswordAtRunTimeIsTheConfigurationsFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meshgate.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(good, "PW", "NONE", 1)+"state_dir: state\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	code := realMain([]string{"run", "-config", file}, process{stderr: &errs, getenv: noEnv})
	if code != exitConfig || !strings.Contains(errs.String(), "account.password_env: the environment variable NONE is not set") {
		t.Errorf("exit code %d, %s", code, &errs)
	}
}

// What a peer or a server can make appear in the log is never the password.
func TestPasswordIsNotLogged(t *testing.T) {
	r := start(t, nil)
	r.await("starting")
	r.signals <- syscall.SIGTERM
	for r.log.Scan() {
		if strings.Contains(r.log.Text(), "secret") {
			t.Errorf("the password is in the log: %s", r.log.Text())
		}
	}
	<-r.exit
}
