package doctor

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// Without IPv6 an interface that has nothing else is of no use.
func TestAddressesOfTheFamiliesThatAreUsed(t *testing.T) {
	ifi, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParsePrefix("127.0.0.1/8")
	if list := prefixesOf(*ifi, false); !slices.Contains(list, own) || slices.ContainsFunc(list, func(p netip.Prefix) bool { return !p.Addr().Is4() }) {
		t.Errorf("IPv4: %v", list)
	}
	if four, both := prefixesOf(*ifi, false), prefixesOf(*ifi, true); len(both) < len(four) {
		t.Errorf("%v of %v", four, both)
	}
}
