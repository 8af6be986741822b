//go:build !linux

package multicast

import "net/netip"

// inCrowd has nothing to add here: package net sets SO_REUSEPORT on the BSDs.
func inCrowd(uintptr, netip.Addr) {}
