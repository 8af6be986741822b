package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	WorkInParallel()
	goleak.VerifyTestMain(m)
}

func TestHostsReachEachOtherAndNobodyElse(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	if got := strings.TrimSpace(h1.Output("hostname")); got != "h1" {
		t.Errorf("host name = %q", got)
	}
	ln, err := h2.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	c, err := h1.Dial(t.Context(), "tcp", netip.AddrPortFrom(h2.Addr(), port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != h1.Addr() {
		t.Errorf("connected from %v, want %v", got, h1.Addr())
	}
	if _, err := net.DialTimeout("tcp", netip.AddrPortFrom(h2.Addr(), port).String(), 100*time.Millisecond); err == nil {
		t.Error("the lab is reachable from the machine")
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	t.Parallel()
	lab := New(t, 1)
	h := lab.Host("h1")
	p := h.Start("sh", "-c", "sleep 1000 & echo $!; exec sleep 2000")
	p.Expect(`^\d+$`)
	inits := []int{h.init.Process.Pid, lab.janitor.Process.Pid, p.Pid()}
	dir := lab.Dir()
	lab.Close()
	for _, pid := range inits {
		if _, err := os.Stat("/proc/" + itoa(pid)); err == nil {
			t.Errorf("process %d is left", pid)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("directory %s is left", dir)
	}
}

func TestHostDiesWithItsInit(t *testing.T) {
	t.Parallel()
	lab := New(t, 1)
	h := lab.Host("h1")
	p := h.Start("sleep", "1000")
	h.hangUp() // what the kernel does when the process that made the lab ends
	if code := p.Wait(); code != -1 {
		t.Errorf("exit status %d, want death by signal", code)
	}
}

func TestCableLossAndAddress(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	ln, err := h2.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	reaches := func(addr netip.Addr, within time.Duration) bool {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		c, err := h1.Dial(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	answers := func() bool { return reaches(h2.Addr(), Patience) }
	silent := func() bool { return !reaches(h2.Addr(), 300*time.Millisecond) }
	if !answers() {
		t.Fatal("h2 does not answer")
	}
	h2.Link(false)
	if !silent() {
		t.Error("h2 answers without a cable")
	}
	h2.Link(true)
	if !answers() {
		t.Error("h2 does not answer with its cable back")
	}
	h2.Cable(false)
	if !silent() {
		t.Error("h2 answers with its cable pulled")
	}
	h2.Cable(true)
	if !answers() {
		t.Error("h2 does not answer with its cable back in")
	}
	h2.Isolate(true)
	if !silent() {
		t.Error("h2 answers through a pulled trunk")
	}
	h2.Isolate(false)
	h2.Loss(100)
	if !silent() {
		t.Error("h2 answers at a loss of 100 %")
	}
	h2.Loss(0)
	h2.Block(h1.Addr())
	if !silent() {
		t.Error("h2 answers through a block")
	}
	h2.Block(netip.Addr{})
	old := h2.Addr()
	h2.SetAddr(h2.Neighbour(1))
	if h2.Addr() == old || !answers() {
		t.Errorf("h2 does not answer at its new address %v", h2.Addr())
	}
	h1.AddNIC(2)
	if second := h2.AddNIC(2); !reaches(second, Patience) {
		t.Errorf("h2 does not answer at %v on the second LAN", second)
	}
	h2.RemoveNIC("eth1")
}

func TestFarHostsAreOnTheSecondLAN(t *testing.T) {
	t.Parallel()
	lab := NewLab(t, Options{Hosts: 2, FarHosts: 1})
	far, err := lab.Host("h3").Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	to := netip.AddrPortFrom(lab.Host("h3").Addr(), uint16(far.Addr().(*net.TCPAddr).Port)).String()
	if c, err := lab.Host("h1").Dial(t.Context(), "tcp", to); err != nil {
		t.Errorf("h1, which is on both LANs: %v", err)
	} else {
		c.Close()
	}
	if c, err := lab.Host("h2").Dial(t.Context(), "tcp", to); err == nil {
		c.Close()
		t.Error("h2 reaches the other LAN")
	}
}

func TestMulticastReachesTheGroupAndTheTap(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	file := h1.Path("tap.pcap")
	tap := h2.Tap(file, "udp", "port", "5353")
	in, err := h2.ListenMulticast(MDNSGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := h1.ListenMulticast(MDNSGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteTo([]byte("not DNS at all"), net.UDPAddrFromAddrPort(MDNSGroup)); err != nil {
		t.Fatal(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, err := in.ReadFrom(b)
	if err != nil || string(b[:n]) != "not DNS at all" || !strings.HasPrefix(from.String(), h1.Addr().String()) {
		t.Errorf("got %q from %v, %v", b[:n], from, err)
	}
	tap.Stop()
	if pcap, err := os.ReadFile(file); err != nil || !strings.Contains(string(pcap), "not DNS at all") {
		t.Errorf("the tap has %d bytes without the packet, %v", len(pcap), err)
	}
}

func TestExpectTakesEachLineOnce(t *testing.T) {
	t.Parallel()
	h := Local(t)
	p := h.Start("sh", "-c", "echo b; echo a; echo b; cat; exit 3")
	p.Expect(`^a$`)
	p.Expect(`^b$`)
	p.Expect(`^b$`)
	p.Refute(`^b$`)
	p.Send("hello %d", 1)
	if got := p.Expect(`^hello (\d)$`)[1]; got != "1" {
		t.Errorf("group = %q", got)
	}
	p.CloseInput()
	if code := p.Wait(); code != 3 {
		t.Errorf("exit status %d, want 3", code)
	}
	if _, err := p.await(Patience, "x", func(s string) bool { return s == "x" }); err == nil || !strings.Contains(err.Error(), "ended (exit status 3)") {
		t.Errorf("await after the end: %v", err)
	}
}

func TestProgramFailureRunsCleanupsAndShowsOutput(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	code := Main("demo", &out, func(tb TB) {
		p := Local(tb).Start("echo", "the last words")
		p.Expect("something else")
		t.Error("still running after a failed Expect")
	})
	if code != 1 || !strings.Contains(out.String(), "the last words") || !strings.Contains(out.String(), "something else") {
		t.Errorf("exit status %d, report:\n%s", code, out.String())
	}
}

// killedEnv makes the test binary build a lab and wait for its own death.
const killedEnv = "MESHGATE_E2E_BE_KILLED"

func TestNothingOutlivesAKilledProcess(t *testing.T) {
	if os.Getenv(killedEnv) != "" {
		waitForDeath(t)
	}
	t.Parallel()
	Require(t)
	victim := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesAKilledProcess$", "-test.v")
	victim.Env = append(os.Environ(), killedEnv+"=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = victim.Process.Kill() // may be dead by now
		_ = victim.Wait()         // a death by signal, as meant
	}()
	var dir string
	var pids []int
	for s := bufio.NewScanner(out); s.Scan() && s.Text() != "built"; {
		if pid, err := strconv.Atoi(s.Text()); err == nil {
			pids = append(pids, pid)
		} else if strings.HasPrefix(s.Text(), "/") {
			dir = s.Text()
		}
	}
	if len(pids) != 5 || dir == "" {
		t.Fatalf("the lab said %v, %q", pids, dir)
	}
	var ends []unix.PollFd
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatalf("process %d: %v", pid, err)
		}
		defer unix.Close(fd)
		ends = append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range ends {
		n, err := unix.Poll(ends[i:i+1], int(Patience.Milliseconds()))
		for err == unix.EINTR { // by a signal of the Go runtime
			n, err = unix.Poll(ends[i:i+1], int(Patience.Milliseconds()))
		}
		if n != 1 {
			t.Errorf("process %d is left, %v", pids[i], err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("directory %s is left", dir)
	}
}

// waitForDeath is the process that gets killed: it has a lab with a LAN and
// one on this machine, and says what is in them.
func waitForDeath(t *testing.T) {
	h := New(t, 1).Host("h1")
	bus := h.Avahi()
	s := Local(t).Prosody(ServerOptions{})
	fmt.Printf("%s\n%d\n%d\n%d\n%d\n%d\nbuilt\n", h.lab.Dir(), h.init.Process.Pid, bus.Pid(), s.Pid(), s.host.init.Process.Pid, h.lab.janitor.Process.Pid)
	select {}
}
