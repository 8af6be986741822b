// Command bench measures the gateway between real programs, beside a yardstick
// in the same run: two XMPP clients that talk to each other directly. It
// prints one figure a line:
//
//	figure NAME VALUE UNIT
//
// The absolute figures move from machine to machine; ratios and medians do
// not move as much.
package main

import (
	"context"
	"os"
	"time"

	"meshgate/internal/e2e"
)

// patience bounds the whole run.
const patience = 15 * time.Minute

func main() {
	if len(os.Args) > 1 && os.Args[1] == peersCommand {
		os.Exit(publishPeers(os.Args[2:]))
	}
	os.Exit(e2e.Main("bench", os.Stderr, func(tb e2e.TB) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out := sheet{os.Stdout}
		measureTalk(ctx, tb, out)
		measureMirrors(ctx, tb, out)
	}))
}

func must[T any](v T, err error) func(e2e.TB) T {
	return func(tb e2e.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatalf("bench: %v", err)
		}
		return v
	}
}
