//go:build !linux

package mdns

import "net/netip"

// unfitAddrs knows nothing here.
func unfitAddrs() (map[netip.Addr]bool, error) { return nil, nil }
