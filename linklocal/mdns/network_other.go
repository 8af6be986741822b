//go:build !linux

package mdns

import (
	"context"
	"net/netip"
	"time"
)

// unfitAddrs knows nothing here.
func unfitAddrs() (map[netip.Addr]bool, error) { return nil, nil }

// defaultRoutes knows nothing here.
func (osNetwork) defaultRoutes() map[string]bool { return nil }

// watch has nobody to ask here.
func (osNetwork) watch(context.Context, func()) {}

// uptime goes by the clock on the wall, which may be set: then one starts over
// for nothing.
func (osNetwork) uptime() time.Duration { return time.Duration(time.Now().UnixNano()) }
