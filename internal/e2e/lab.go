package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says what the LAN is like.
type Options struct {
	Hosts    int  // hosts h1 to hN
	FarHosts int  // hosts after those, on the lab's second LAN instead; h1 then is on both, there with eth1
	IPv6     bool // link-local IPv6 beside IPv4; without it each service shows once
	IPv6Only bool // link-local IPv6 and no IPv4; a host still reaches its own IPv4 address
}

// A Lab is one LAN: hosts h1 to hN on a bridge, in 10.64.0.0/10; and perhaps
// a second one that is not connected to it. Its methods belong to the
// goroutine of the test; only [Lab.Close] may come from any.
type Lab struct {
	tb    TB
	opt   Options
	dir   string // everything the lab writes
	net   string // "10.71.5": the first three bytes of the LAN's addresses
	start time.Time

	bridge  *namespace // where the switch is
	janitor *exec.Cmd  // holds the bridge's namespace, removes dir
	hangUp  io.Closer  // its standard input
	hosts   []*Host

	mu     sync.Mutex
	procs  []*Proc // for the report of a failed test
	closed bool
}

// New makes a lab with hosts h1 to hN that ends with the test.
func New(tb TB, hosts int) *Lab {
	tb.Helper()
	return NewLab(tb, Options{Hosts: hosts})
}

// NewLab makes a lab that ends with the test. It calls [Require].
func NewLab(tb TB, opt Options) *Lab {
	tb.Helper()
	Require(tb)
	dir, err := os.MkdirTemp("", "meshgate-lab-")
	if err != nil {
		tb.Fatalf("e2e: %v", err)
	}
	l := &Lab{
		tb: tb, opt: opt, dir: dir, start: time.Now(),
		net: fmt.Sprintf("10.%d.%d", 64+rand.IntN(64), rand.IntN(255)),
	}
	tb.Cleanup(l.end)
	l.startBridge()
	for i := range opt.Hosts + opt.FarHosts {
		lan := 1
		if i >= opt.Hosts {
			lan = 2
		}
		l.hosts = append(l.hosts, newHost(l, fmt.Sprintf("h%d", i+1), i+1, lan))
	}
	for _, h := range l.hosts {
		h.awaitInit()
		h.plug()
	}
	if opt.FarHosts > 0 {
		l.Host("h1").AddNIC(2)
	}
	return l
}

// Host returns the host with that name; an unknown name ends the test.
func (l *Lab) Host(name string) *Host {
	l.tb.Helper()
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	l.tb.Fatalf("e2e: no host %q", name)
	return nil
}

// Hosts returns all hosts, h1 first.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Dir is a directory for files of the test; it ends with the lab.
func (l *Lab) Dir() string { return l.dir }

// janitorScript waits for the end of its standard input, that is of the lab or
// of the process that made it, and removes the lab's directory. Hosts die at
// the same moment, so a second round catches what they still wrote.
const janitorScript = `echo ready; while read -r _; do :; done; rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }`

func (l *Lab) startBridge() {
	l.tb.Helper()
	cmd := exec.Command("bash", "-c", janitorScript, "lab", l.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setsid: true}
	in, ready, err := startHolder(cmd)
	if err != nil {
		l.tb.Fatalf("e2e: bridge: %v", err)
	}
	l.janitor, l.hangUp = cmd, in
	if err := <-ready; err != nil {
		l.tb.Fatalf("e2e: bridge: %v", err)
	}
	if l.bridge, err = openNamespace(cmd.Process.Pid, "net"); err != nil {
		l.tb.Fatalf("e2e: bridge: %v", err)
	}
	l.onBridge("link set lo up\n" +
		"link add br1 type bridge mcast_snooping 0 forward_delay 0\nlink set br1 up\n" +
		"link add br2 type bridge mcast_snooping 0 forward_delay 0\nlink set br2 up\n")
}

// startHolder starts a process that holds a namespace. The channel yields nil
// once it has printed its first line, "ready".
func startHolder(cmd *exec.Cmd) (io.Closer, <-chan error, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		return nil, nil, err
	}
	ready := make(chan error, 1)
	go func() {
		defer out.Close()
		var said bytes.Buffer
		b := make([]byte, 256)
		for !strings.HasSuffix(said.String(), "ready\n") {
			n, err := out.Read(b)
			said.Write(b[:n])
			if err != nil || said.Len() > 64<<10 {
				ready <- fmt.Errorf("not ready: %v: %s", err, said.String())
				return
			}
		}
		ready <- nil
	}()
	return in, ready, nil
}

// onBridge carries out iproute2 commands in the bridge's network namespace.
// Process numbers in them are those of this machine.
func (l *Lab) onBridge(batch string) {
	l.tb.Helper()
	if err := l.bridge.do(func() error { return ipBatch(exec.Command("ip", "-batch", "-"), batch) }); err != nil {
		l.tb.Fatalf("e2e: bridge: %v", err)
	}
}

func ipBatch(cmd *exec.Cmd, batch string) error {
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s\n%s", err, out, batch)
	}
	return nil
}

// end is the cleanup of the test.
func (l *Lab) end() {
	if l.tb.Failed() {
		l.report()
	}
	l.Close()
}

// Close ends every process of every host at once, without any farewell, and
// waits until they are gone. It may be called twice.
func (l *Lab) Close() {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	procs := l.procs
	l.mu.Unlock()
	if closed {
		return
	}
	for _, h := range l.hosts {
		h.hangUp()
	}
	for _, p := range procs {
		<-p.done
	}
	for _, h := range l.hosts {
		h.awaitEnd()
	}
	if l.janitor != nil {
		l.hangUp.Close()
		_ = l.janitor.Wait() // its work is checked by its effect
	}
	if l.bridge != nil {
		l.bridge.close()
	}
	os.RemoveAll(l.dir)
}

// register remembers a process for the report. It is safe from any goroutine.
func (l *Lab) register(p *Proc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.procs = append(l.procs, p)
}

// report logs the last lines of every process, for a test that failed.
func (l *Lab) report() {
	l.mu.Lock()
	procs := l.procs
	l.mu.Unlock()
	for _, p := range procs {
		l.tb.Logf("%s", p.Report())
	}
}

// writeFile writes a file of the lab, under its directory.
func (l *Lab) writeFile(name, content string) string {
	l.tb.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.tb.Fatalf("e2e: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		l.tb.Fatalf("e2e: %v", err)
	}
	return path
}
