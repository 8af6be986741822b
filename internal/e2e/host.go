package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// hostNamespaces are what makes a process the first one of a host.
const hostNamespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

//go:embed hostinit.sh
var hostInit string

// A Host is one machine of the LAN. Its methods belong to the goroutine of the
// test, except Listen, ListenPacket, ListenMulticast, Dial and Command, which
// are safe from any.
type Host struct {
	Name string

	lab    *Lab
	tb     TB
	number int
	lan    int    // that eth0 is on: 1 or 2
	nics   []bool // which of eth0, eth1 … it has
	addr   netip.Addr
	names  string // more lines of /etc/hosts
	local  bool   // the machine itself: its network, its names

	avahi    *Proc // the daemon, if it was started
	reflects bool  // avahi is to be a reflector

	init    *exec.Cmd
	stdin   io.Closer
	ready   <-chan error
	all     *namespace // everything, for processes
	network *namespace // the network alone, for our own sockets; nil: local
}

// newHost starts process 1 of a host. It is usable after awaitInit and plug.
func newHost(l *Lab, name string, number, lan int) *Host {
	l.tb.Helper()
	h := &Host{Name: name, lab: l, tb: l.tb, number: number, lan: lan}
	h.addr = l.addr(lan, number)
	h.writeEtc()
	h.startInit("lan", hostNamespaces)
	return h
}

// Local makes a host that is this machine itself: its address is one of
// 127.0.0.0/8 that nobody else uses, so that every port of it is free, and only
// its processes are apart, so that they end with the test.
func Local(tb TB) *Host {
	tb.Helper()
	l := NewLab(tb, Options{})
	h := &Host{Name: "local", lab: l, tb: tb, addr: loopbackAddr(), local: true}
	h.writeEtc()
	h.startInit("local", hostNamespaces&^syscall.CLONE_NEWNET)
	l.hosts = append(l.hosts, h)
	h.awaitInit()
	return h
}

func loopbackAddr() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(255)), byte(1 + rand.IntN(254))})
}

func (h *Host) startInit(kind string, namespaces uintptr) {
	h.tb.Helper()
	h.init = exec.Command("bash", "-c", hostInit, "host", h.Name, h.dir(), kind)
	h.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	var err error
	if h.stdin, h.ready, err = startHolder(h.init); err != nil {
		h.tb.Fatalf("e2e: %s: %v", h.Name, err)
	}
}

// awaitInit waits until the host has its own view of the system.
func (h *Host) awaitInit() {
	h.tb.Helper()
	if err := <-h.ready; err != nil {
		h.tb.Fatalf("e2e: %s: %v", h.Name, err)
	}
	pid := h.init.Process.Pid
	var err error
	// The mount namespace is entered last: the others are open by then.
	if h.all, err = openNamespace(pid, "net", "uts", "pid", "mnt"); err != nil {
		h.tb.Fatalf("e2e: %s: %v", h.Name, err)
	}
	if h.network, err = openNamespace(pid, "net"); err != nil {
		h.tb.Fatalf("e2e: %s: %v", h.Name, err)
	}
}

func (h *Host) dir() string { return filepath.Join(h.lab.dir, h.Name) }

// Path names a file of the host's own directory, which is also its $HOME.
func (h *Host) Path(name string) string { return filepath.Join(h.dir(), name) }

// WriteFile writes a file into the host's directory and returns its path.
func (h *Host) WriteFile(name, content string) string {
	h.tb.Helper()
	return h.lab.writeFile(filepath.Join(h.Name, name), content)
}

// writeEtc writes the files that hostinit.sh puts over those in /etc.
func (h *Host) writeEtc() {
	h.WriteFile("etc/hostname", h.Name+"\n")
	h.writeHosts()
	h.WriteFile("etc/resolv.conf", "")
	h.WriteFile("etc/machine-id", fmt.Sprintf("%032x\n", 0xa1b2c3d40000+h.number))
	h.WriteFile("etc/passwd", "root:x:0:0::/root:/bin/sh\navahi:x:0:0::/:/bin/false\n")
	h.WriteFile("etc/group", "root:x:0:\navahi:x:0:\n")
}

func (h *Host) writeHosts() {
	h.WriteFile("etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n%s %s %s.local\n%s", h.addr, h.Name, h.Name, h.names))
}

// AddName makes programs in the host find a name at an address, as DNS would.
func (h *Host) AddName(name string, addr netip.Addr) {
	h.tb.Helper()
	h.names += fmt.Sprintf("%s %s\n", addr, name)
	h.writeHosts()
}

// Addr is the host's IPv4 address on the LAN; on an IPv6-only LAN one that only
// the host itself reaches.
func (h *Host) Addr() netip.Addr { return h.addr }

// hangUp tells process 1 to end, and with it the host.
func (h *Host) hangUp() {
	if h.stdin != nil {
		h.stdin.Close()
	}
}

// awaitEnd returns when every process of the host is gone.
func (h *Host) awaitEnd() {
	if h.stdin == nil {
		return
	}
	_ = h.init.Wait() // ends by our hand, with whatever status
	if h.all != nil {
		h.all.close()
	}
	if h.network != nil {
		h.network.close()
	}
}

// A Cmd is an exec.Cmd whose process starts inside the host. Its Process is
// the program itself, so signals reach it. SysProcAttr.Pdeathsig must not be
// set: the thread that starts it ends at once.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command prepares a program to run inside the host, with the host's
// directory as $HOME and a plain environment.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin:" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"HOME=" + h.dir(), "TMPDIR=" + h.dir(), "HOSTNAME=" + h.Name, "PYTHONUNBUFFERED=1",
	}
	cmd.Dir = h.dir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt of the test is not theirs
	return &Cmd{cmd, h}
}

// Start starts the program inside the host.
func (c *Cmd) Start() error {
	return c.host.all.do(c.Cmd.Start)
}

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs a program inside the host and returns what it printed, on
// either output. A failure ends the test.
func (h *Host) Output(name string, args ...string) string {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	var out limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		h.tb.Fatalf("e2e: %s: %s %q: %v: %s", h.Name, name, args, err, out.b)
	}
	return string(out.b)
}

// limitedBuffer keeps the first megabyte.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	const most = 1 << 20
	l.b = append(l.b, p[:min(len(p), most-len(l.b))]...)
	return len(p), nil
}
