package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience is how long a wait lasts before it fails. It is long because a
// shared machine can be slow; a passing test never waits for it.
const Patience = 30 * time.Second

// TB is the part of testing.TB that the lab needs. A program that is not a
// test gets one from [Main].
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// labTools are the programs without which no lab stands.
func labTools() []string {
	return []string{
		"ip", "nft", "mount", "hostname", "bash", "dbus-daemon", "avahi-daemon", "avahi-browse", "avahi-publish",
		"gcc", "pkg-config", "prosody", "erl", "tcpdump", python,
	}
}

// Require skips the test with a reason where the lab cannot stand: without
// root, without namespaces, or without the programs that deps.sh installs.
// With CI=true or MESHGATE_E2E=require in the environment it fails instead, so
// that no pipeline is green because it proved nothing.
func Require(tb TB) {
	tb.Helper()
	why := obstacle()
	if why == "" {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("MESHGATE_E2E") == "require" {
		tb.Fatalf("e2e: the lab is required here but cannot stand: %s", why)
	}
	tb.Skipf("e2e: no lab: %s", why)
}

// obstacle says why no lab can stand on this machine, or nothing.
func obstacle() string {
	if os.Geteuid() != 0 {
		return "not root (as a user: unshare -Urnmpf --mount-proc sh -c 'ip link set lo up; go test ...')"
	}
	var missing []string
	for _, tool := range labTools() {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return "missing " + strings.Join(missing, ", ") + " (internal/e2e/deps.sh installs them)"
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: hostNamespaces}
	if err := probe.Run(); err != nil {
		return "no namespaces: " + err.Error()
	}
	return ""
}

// Main runs f outside of any test, for the demo: it reports to w and returns
// f's exit status. Cleanups have run when it returns.
func Main(name string, w io.Writer, f func(TB)) int {
	s := &script{name: name, w: w}
	ended := make(chan struct{})
	go func() { // its own goroutine, because Fatalf ends it
		defer close(ended)
		defer s.cleanup()
		f(s)
	}()
	<-ended
	if s.Failed() {
		return 1
	}
	return 0
}

// script is the TB of a program. Logf and Failed are safe from any goroutine.
type script struct {
	name string
	w    io.Writer

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (s *script) Helper()      {}
func (s *script) Name() string { return s.name }

func (s *script) Logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, format+"\n", args...)
}

func (s *script) Errorf(format string, args ...any) {
	s.Logf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
}

func (s *script) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// Skipf fails: a program that cannot do what it is for has failed.
func (s *script) Skipf(format string, args ...any) { s.Fatalf(format, args...) }

func (s *script) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *script) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

// cleanup runs what Cleanup was given, the last first, whatever one of them
// does.
func (s *script) cleanup() {
	s.mu.Lock()
	n := len(s.cleanups)
	if n == 0 {
		s.mu.Unlock()
		return
	}
	f := s.cleanups[n-1]
	s.cleanups = s.cleanups[:n-1]
	s.mu.Unlock()
	defer s.cleanup()
	f()
}
