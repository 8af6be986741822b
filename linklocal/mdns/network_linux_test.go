package mdns

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"meshgate/internal/netwatch"
)

// The kernel tells of an interface and of an address at once; LL-18.
func TestWatchHearsOfInterfacesAndAddresses(t *testing.T) {
	done := make(chan struct{})
	go func() { // in a thread of its own, which ends with its network namespace
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
			t.Log("not root: the lab's tests need the same, and fail without")
			return
		} else if err != nil {
			t.Error(err)
			return
		}
		watchInNamespace(t)
	}()
	<-done
}

func watchInNamespace(t *testing.T) {
	sys := osNetwork{names: []string{"d0"}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changed := make(chan struct{}, 1000)
	l, err := netwatch.Listen()
	if err != nil {
		t.Error(err)
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Keep(ctx, slog.New(slog.DiscardHandler), func() { changed <- struct{}{} })
	}()
	ip := func(args string) {
		for len(changed) > 0 {
			<-changed
		}
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", args, err, out)
			return
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Errorf("nothing heard of: ip %s", args)
		}
	}
	ip("link add d0 type veth peer name d1")
	ip("link set d1 up")
	ip("link set d0 up")
	ip("addr add 192.0.2.1/24 dev d0")
	ip("addr add 2001:db8::1/64 dev d0 nodad")
	ip("addr add 2001:db8::2/64 dev d0 nodad preferred_lft 0")
	found, err := sys.candidates()
	if err != nil || len(found) != 1 || !found[0].running {
		t.Errorf("found %+v", found)
		return
	}
	has := map[string]bool{}
	for _, p := range found[0].Prefixes {
		has[p.String()] = true
	}
	if !has["192.0.2.1/24"] || !has["2001:db8::1/64"] || has["2001:db8::2/64"] {
		t.Errorf("addresses %v", found[0].Prefixes)
	}
	cancel()
	<-ended
}

func TestParseIfInet6(t *testing.T) {
	const text = `00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000005056fffec00008 02 40 20 80     eth0
fe80000000000000005056fffec00009 02 40 20 c0     eth0
20010db8000000000000000000000001 02 40 00 01     eth0
20010db8000000000000000000000002 02 40 00 20     eth0
20010db8000000000000000000000003 02 40 00 88     eth0
nonsense
20010db8000000000000000000000004 02 40 00 zz     eth0
`
	unfit := parseIfInet6(strings.NewReader(text))
	for _, want := range []string{"fe80::50:56ff:fec0:9%eth0", "2001:db8::1%eth0", "2001:db8::2%eth0", "2001:db8::3%eth0"} {
		if !unfit[netip.MustParseAddr(want)] {
			t.Errorf("%s is not left out", want)
		}
	}
	if len(unfit) != 4 {
		t.Errorf("left out: %v", unfit)
	}
}
