package linklocal

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/linklocal/mdns"
)

func TestTargets(t *testing.T) {
	own := []mdns.Link{
		{Name: "eth0", Prefixes: prefixes("10.0.0.9/24", "fe80::9/64", "2001:db8::9/64")},
		{Name: "eth1", Prefixes: prefixes("10.0.1.9/24", "fe80::a/64")},
	}
	both := []string{"eth0", "eth1"}
	for _, tt := range []struct {
		name  string
		addrs []string
		links []string // where it is seen
		want  []string
	}{
		{"IPv4 first, in turns", []string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1%eth0"}, both, []string{
			"10.0.0.9 10.0.0.1:5298", "2001:db8::9 [2001:db8::1]:5298", "10.0.0.9 10.0.0.2:5298", "fe80::9%eth0 [fe80::1%eth0]:5298"}},
		{"each link has its own source", []string{"10.0.1.1", "10.0.0.1", "fe80::1%eth1"}, both, []string{
			"10.0.1.9 10.0.1.1:5298", "fe80::a%eth1 [fe80::1%eth1]:5298", "10.0.0.9 10.0.0.1:5298"}},
		{"on none of our links", []string{"10.0.2.1", "2001:db8:1::1", "fe80::1%eth2", "fe80::1", "192.0.2.1", "169.254.0.1"}, both, nil},
		{"on a link where it is not seen", []string{"10.0.0.1", "10.0.1.1"}, []string{"eth1"}, []string{"10.0.1.9 10.0.1.1:5298"}},
		{"seen nowhere", []string{"10.0.0.1"}, nil, nil},
		{"not one host on the link", []string{"127.0.0.1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "::1", "ff02::fb"}, both, nil},
		{"IPv4 in IPv6", []string{"::ffff:10.0.0.1"}, both, []string{"10.0.0.9 10.0.0.1:5298"}},
		{"many", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.10"}, both,
			[]string{"10.0.0.9 10.0.0.1:5298", "10.0.0.9 10.0.0.2:5298", "10.0.0.9 10.0.0.3:5298", "10.0.0.9 10.0.0.4:5298",
				"10.0.0.9 10.0.0.5:5298", "10.0.0.9 10.0.0.6:5298", "10.0.0.9 10.0.0.7:5298", "10.0.0.9 10.0.0.8:5298"}},
	} {
		var got []string
		for _, x := range targetsOf(mdns.Entry{Port: 5298, Addrs: addrs(tt.addrs...), Links: tt.links, Text: []string{"port.p2pj=1"}}, own) {
			got = append(got, x.local.String()+" "+x.remote.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if got := targetsOf(mdns.Entry{Addrs: addrs("10.0.0.1"), Links: both}, own); got != nil {
		t.Errorf("no port: %v", got)
	}
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// A fakeDial answers by the port of the target: after so many milliseconds,
// and odd ones with an error.
func fakeDial(open *int) func(context.Context, target) (net.Conn, error) {
	return func(ctx context.Context, x target) (net.Conn, error) {
		select {
		case <-time.After(time.Duration(x.remote.Port()) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if x.remote.Port()%2 == 1 {
			return nil, errors.New("refused")
		}
		c, _ := net.Pipe()
		return &countedConn{c, open, x.remote.Port()}, nil
	}
}

type countedConn struct {
	net.Conn
	closed *int
	port   uint16
}

func (c *countedConn) Close() error { *c.closed++; return c.Conn.Close() }

func TestRaceDial(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ports []uint16 // see fakeDial
		won   uint16   // 0: none
		after time.Duration
	}{
		{"nowhere to call", nil, 0, 0},
		{"the first answers", []uint16{100, 2}, 100, 100 * time.Millisecond},
		{"the first is slow", []uint16{3000, 2}, 2, 252 * time.Millisecond},
		{"the first refuses", []uint16{51, 100, 8}, 100, 151 * time.Millisecond},
		{"all refuse", []uint16{51, 301, 7}, 0, 352 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var targets []target
				for _, p := range tt.ports {
					targets = append(targets, target{remote: netip.AddrPortFrom(netip.IPv4Unspecified(), p)})
				}
				begin, closed := time.Now(), 0
				conn, err := raceDial(t.Context(), targets, fakeDial(&closed))
				switch {
				case tt.won == 0 && err == nil:
					t.Fatal("connected")
				case tt.won != 0 && err != nil:
					t.Fatal(err)
				case tt.won != 0 && conn.(*countedConn).port != tt.won:
					t.Errorf("won: %d", conn.(*countedConn).port)
				}
				if got := time.Since(begin); got != tt.after {
					t.Errorf("after %v, want %v", got, tt.after)
				}
				if closed != 0 {
					t.Errorf("%d connections closed", closed)
				}
			})
		})
	}
}
