//go:build !linux

package netwatch

import (
	"context"
	"errors"
	"time"
)

// A Listener has nobody to listen to here.
type Listener struct{}

// Listen knows no way here: only sleep is noticed.
func Listen() (*Listener, error) { return nil, errors.ErrUnsupported }

func (*Listener) run(context.Context, func()) error { return errors.ErrUnsupported }

// Uptime goes by the clock on the wall, which may be set: then one starts over
// for nothing.
func Uptime() time.Duration { return time.Duration(time.Now().UnixNano()) }

// DefaultRoutes knows none here.
func DefaultRoutes() []Route { return nil }
