package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(vars map[string]string) func(string) string {
	return func(k string) string { return vars[k] }
}

// manager is a service manager's end of the socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, name string) manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return manager{t, c}
}

func (m manager) want(state string) {
	m.t.Helper()
	b := make([]byte, 4096)
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatalf("waiting for %q: %v", state, err)
	}
	if got := string(b[:n]); got != state {
		m.t.Errorf("got %q, want %q", got, state)
	}
}

func TestStatesReachTheServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	abstract := fmt.Sprintf("@meshgate-test-%d", os.Getpid())
	for _, name := range []string{path, abstract} {
		t.Run(name[:1], func(t *testing.T) {
			m := listen(t, name)
			n, err := New(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			n.Ready()
			m.want("READY=1")
			n.Status("online as gw@example.org\nREADY=0")
			m.want("STATUS=online as gw@example.org READY=0")
			n.Alive()
			m.want("WATCHDOG=1")
			n.Stopping()
			m.want("STOPPING=1")
			n.Status(strings.Repeat("é", maxStatus))
			m.want("STATUS=" + strings.Repeat("é", maxStatus/2))
		})
	}
}

func TestWithoutServiceManagerNothingHappens(t *testing.T) {
	n, err := New(env(nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	n.Ready()
	n.Status("x")
	if n.Interval() != 0 {
		t.Errorf("Interval = %v, want 0", n.Interval())
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnusableSocketIsReportedOnceAndHarmless(t *testing.T) {
	for _, name := range []string{"/nonexistent/notify", "vsock:2:1234", "relative"} {
		n, err := New(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
		if err == nil {
			t.Errorf("New with NOTIFY_SOCKET=%s = nil error", name)
		}
		n.Ready()
		n.Close()
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 15 * time.Second},
		{"30000000", "42", 15 * time.Second},
		{"30000000", "43", 0}, // meant for another process
		{"-1", "", 0},
		{"abc", "", 0},
		{"9223372036854775807", "", 0},
	} {
		n, _ := New(env(map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}), 42)
		if got := n.Interval(); got != tt.want {
			t.Errorf("USEC %q PID %q: Interval = %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}
