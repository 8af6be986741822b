package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
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
	addr   netip.Addr
	names  string // more lines of /etc/hosts
	local  bool   // the machine itself: its network, its names

	init    *exec.Cmd
	stdin   io.Closer
	ready   <-chan error
	all     *namespace // everything, for processes
	network *namespace // the network alone, for our own sockets; nil: local
}

// newHost starts process 1 of a host. It is usable after awaitInit and plug.
func newHost(l *Lab, name string, number int) *Host {
	l.tb.Helper()
	h := &Host{Name: name, lab: l, tb: l.tb, number: number, addr: netip.MustParseAddr(fmt.Sprintf("%s.%d", l.net, number))}
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

// Addr is the host's IPv4 address on the LAN.
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

// inNetwork runs f on a thread that is on the host's network.
func (h *Host) inNetwork(f func() error) error {
	if h.local {
		return f()
	}
	return h.network.do(f)
}

// Listen opens a TCP listener of this process on the host's network. The
// address must be numeric; ":0" listens on every address of the host.
func (h *Host) Listen(addr string) (net.Listener, error) {
	var ln net.Listener
	err := h.inNetwork(func() (err error) { ln, err = net.Listen("tcp", addr); return err })
	return ln, err
}

// Dial connects from the host's network; the address must be numeric. For
// hostile XML streams, and UDP packets to a single host.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var c net.Conn
	err := h.inNetwork(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// DialFrom is Dial from one of the host's own addresses.
func (h *Host) DialFrom(ctx context.Context, local netip.Addr, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	var c net.Conn
	err := h.inNetwork(func() (err error) { c, err = d.DialContext(ctx, network, addr); return err })
	return c, err
}

// ListenPacket opens a UDP socket of this process on the host's network.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	var c net.PacketConn
	err := h.inNetwork(func() (err error) { c, err = net.ListenPacket("udp4", addr); return err })
	return c, err
}

// MDNSGroup is where multicast DNS is spoken: RFC 6762 §3.
var MDNSGroup = netip.MustParseAddrPort("224.0.0.251:5353")

// ListenMulticast opens a UDP socket on the host's network that has joined the
// group and is bound to its port beside whoever else is. What is written with
// WriteTo(b, group) goes out with IP TTL 255 and is not looped back.
func (h *Host) ListenMulticast(group netip.AddrPort) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = h.joinGroup(int(fd), group.Addr()) }); cerr != nil {
			return cerr
		}
		return err
	}}
	var c net.PacketConn
	err := h.inNetwork(func() (err error) {
		c, err = lc.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", group.Port()))
		return err
	})
	return c, err
}

func (h *Host) joinGroup(fd int, group netip.Addr) error {
	mreq := &unix.IPMreqn{Multiaddr: group.As4(), Address: h.addr.As4()}
	for _, set := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) },
		func() error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq) },
		func() error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0) },
	} {
		if err := set(); err != nil {
			return fmt.Errorf("e2e: %s: join %s: %w", h.Name, group, err)
		}
	}
	return nil
}
