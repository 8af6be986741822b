package multicast

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is sent in bulk is heard as the packets that it was, in order, with what they
// say of where they come from: by who reads in bulk and by who does not, whether the
// link takes trains, takes them apart, or refuses them.
func TestBulk(t *testing.T) {
	for _, c := range []struct {
		name  string
		group netip.AddrPort
		link  string // what ip(8) does to it
		keeps bool   // trains are still tried after that
	}{
		{"a link that takes trains", netip.MustParseAddrPort("239.255.71.3:7003"), "link set d0 up", true},
		{"IPv6", netip.MustParseAddrPort("[ff12::3]:7003"), "link set d0 up", true},
		{"one that takes them apart", netip.MustParseAddrPort("239.255.71.3:7003"), "link set d0 gso_max_segs 1", true},
		{"one of shorter packets", netip.MustParseAddrPort("239.255.71.3:7003"), "link set d0 mtu 1400", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNamespace(t, func() {
				for _, args := range []string{"link add d0 type veth peer name d1", "link set lo up", "link set d1 up", c.link, "link set d0 up", "addr add 10.9.0.1/24 dev d0", "addr add fe80::1/64 dev d0 nodad"} {
					if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
						t.Errorf("ip %s: %v: %s", args, err, out)
						return
					}
				}
				sendInBulk(t, c.group, c.keeps)
			})
		})
	}
}

// inNamespace runs f in a thread of its own, which ends with its network namespace.
func inNamespace(t *testing.T, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
			t.Log("not root: the lab's tests need the same, and fail without")
		} else if err != nil {
			t.Error(err)
		} else {
			f()
		}
	}()
	<-done
}

func sendInBulk(t *testing.T, group netip.AddrPort, keeps bool) {
	link, err := net.InterfaceByName("d0")
	if err != nil {
		t.Error(err)
		return
	}
	var conns []*Conn
	for _, bulk := range []bool{true, false} {
		c, err := Listen(Config{Group: group, TTL: 1, Buffer: 4 << 20, Crowd: true, Bulk: bulk})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if err := c.Join(link); err != nil {
			t.Error(err)
			return
		}
		conns = append(conns, c)
	}
	packets := someOfEachSize()
	if lost, err := conns[0].WritePackets(packets, link.Index); lost > 0 || err != nil {
		t.Errorf("%d of %d were not sent: %v", lost, len(packets), err)
	}
	if conns[0].trains.Load() != keeps {
		t.Errorf("will send trains: %v", !keeps)
	}
	for i, c := range conns {
		check := func(got [][]byte, from Arrival) {
			if from.Link != link.Index || from.Dst != group.Addr() || from.Src.Port() != group.Port() {
				t.Errorf("from %+v", from)
			}
			for n, b := range got {
				if n < len(packets) && !bytes.Equal(b, packets[n]) {
					t.Errorf("socket %d: packet %d is of %d bytes, and not what was sent", i, n, len(b))
					return
				}
			}
		}
		c.udp.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, from, err := readAll(c, len(packets))
		if err != nil || len(got) != len(packets) {
			t.Errorf("socket %d: %d packets: %v", i, len(got), err)
		}
		check(got, from)
	}
}

func readAll(c *Conn, count int) (got [][]byte, last Arrival, err error) {
	b := make([]byte, maxMessage)
	for len(got) < count && err == nil {
		if c.bulk != nil {
			err = c.ReadPackets(func(b []byte, from Arrival) { got, last = append(got, bytes.Clone(b)), from })
			continue
		}
		var n int
		n, last, err = c.ReadPacket(b)
		got = append(got, bytes.Clone(b[:n]))
	}
	return got, last, err
}

// someOfEachSize are packets in rows of one size, some with a shorter one at the end.
func someOfEachSize() (packets [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, row := range []struct{ count, size, last int }{
		{1, 40, 0}, {100, 1440, 700}, {3, 20, 0}, {70, 8, 0}, {1, 1440, 0}, {1, 20, 0}, {30, 1440, 1440}, {200, 100, 1}, {50, 1000, 0},
	} {
		for range row.count {
			packets = append(packets, random(rng, row.size))
		}
		if row.last > 0 {
			packets = append(packets, random(rng, row.last))
		}
	}
	return packets
}

func random(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// What goes as one are packets of one size, the last may be shorter, as many as fit.
func TestTrains(t *testing.T) {
	packet := func(sizes ...int) (list [][]byte) {
		for _, n := range sizes {
			list = append(list, make([]byte, n))
		}
		return list
	}
	var many, long []int
	for range 100 {
		many, long = append(many, 20), append(long, 1440)
	}
	c := &Conn{}
	for _, trains := range []bool{true, false} {
		c.trains.Store(trains)
		for _, test := range []struct {
			sizes []int
			want  int
		}{
			{[]int{10}, 1}, {[]int{10, 10, 11}, 2}, {[]int{10, 11}, 1}, {[]int{10, 10, 9, 10}, 3}, {[]int{10, 9, 9}, 2}, {many, maxCars}, {long, maxTrain / 1440},
		} {
			want := 1
			if trains {
				want = test.want
			}
			if got := c.train(packet(test.sizes...)); got != want {
				t.Errorf("trains %v: of %s %d go as one, want %d", trains, fmt.Sprint(test.sizes), got, want)
			}
		}
	}
}
