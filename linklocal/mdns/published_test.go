package mdns

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// LL-01, LL-18: of links on one network all publish the first one's address;
// a network that every link has does not make them one.
func TestLinksOfOneNetworkPublishOneAddress(t *testing.T) {
	link := func(name string, prefixes ...string) *usedLink {
		u := &usedLink{Link: Link{Name: name}}
		for _, p := range prefixes {
			u.Prefixes = append(u.Prefixes, netip.MustParsePrefix(p))
		}
		return u
	}
	cable := link("eth0", "192.0.2.1/24", "fe80::1/64")
	wifi := link("wlan0", "192.0.2.2/24", "fe80::2/64", "2001:db8::2/64")
	other := link("eth1", "198.51.100.1/24", "169.254.1.1/16", "2001:db8::3/64")
	x := links{inUse: []*usedLink{cable, wifi, other}}
	for u, want := range map[*usedLink][]string{
		cable: {"192.0.2.1", "fe80::1%eth0"},
		wifi:  {"192.0.2.1", "fe80::2%wlan0", "2001:db8::2"},
		other: {"198.51.100.1", "169.254.1.1", "2001:db8::2"},
	} {
		var got []string
		for _, a := range x.published(u) {
			got = append(got, a.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s publishes (-want +got):\n%s", u.Name, d)
		}
	}
	x.inUse = []*usedLink{wifi, other}
	if got := x.published(wifi)[0]; got != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("without the cable wlan0 publishes %v", got)
	}
}
