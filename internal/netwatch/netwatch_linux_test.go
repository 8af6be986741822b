package netwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel tells of links, addresses and routes, and what makes no difference
// beyond the machine is no change.
func TestFollowHearsOfAnotherNetwork(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changed, space, ended := make(chan struct{}, 100), make(chan string), make(chan struct{})
	go func() { // in a thread of its own, which ends with its network namespace
		defer close(ended)
		defer close(space)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
			t.Log("not root: the lab's tests need the same, and fail without")
			return
		} else if err != nil {
			t.Error(err)
			return
		}
		space <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		if err := Follow(ctx, slog.New(slog.DiscardHandler), func() { changed <- struct{}{} }); err != nil {
			t.Error(err)
		}
	}()
	ns, ok := <-space
	if !ok {
		return
	}
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("nsenter", "--net="+ns, "sh", "-c", args).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}
	heard := func(args string) {
		t.Helper()
		ip(args)
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Errorf("nothing heard of: %s", args)
		}
	}
	heard("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up && ip addr add 192.0.2.1/24 dev d0")
	heard("ip route add default via 192.0.2.254")
	heard("ip route replace default via 192.0.2.253")
	ip("ip link add d2 type veth peer name d3 && ip link set d2 up && ip link set d3 up") // a container
	heard("ip addr add 2001:db8::1/64 dev d0 nodad")
	heard("ip link set d1 down")
	cancel()
	<-ended
	if n := len(changed); n > 0 {
		t.Errorf("%d changes too many", n)
	}
}

func TestDefaultRoutes(t *testing.T) {
	const table4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	100	00000000	0	0	0
eth1	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	00000000	010200C0	0003	0	0	0	00000080	0	0	0
short
wlan0	00000000	010200C0	0003	0	0	600	00000000	0	0	0
`
	const table6 = `20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
short
`
	for name, tc := range map[string]struct {
		table string
		is    func([]string) bool
		want  []string
	}{"IPv4": {table4, isDefault4, []string{"eth0", "wlan0"}}, "IPv6": {table6, isDefault6, []string{"eth0"}}} {
		var found []string
		for _, f := range readTable(strings.NewReader(tc.table)) {
			if tc.is(f) {
				found = append(found, strings.Join(f, " "))
			}
		}
		if len(found) != len(tc.want) {
			t.Fatalf("%s: %q", name, found)
		}
		for i, device := range tc.want {
			if !strings.Contains(found[i], device) {
				t.Errorf("%s: %q, want that of %s", name, found[i], device)
			}
		}
	}
	if n := len(readTable(strings.NewReader(strings.Repeat("x\n", 1000)))); n != maxRoutes {
		t.Errorf("%d rows", n)
	}
}
