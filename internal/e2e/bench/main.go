// Command bench measures the gateway between real programs, beside a yardstick
// in the same run: two XMPP clients that talk to each other directly. It
// prints one figure a line:
//
//	figure NAME VALUE UNIT
//
// Arguments name the parts to measure: talk, mirrors, presence, publish,
// resume, durable, waiting, clique, rooms, dsps, idle; none means all. Flags
// before them say how much is wanted: see -help. The absolute figures move from
// machine to machine; ratios and medians do not move as much.
package main

import (
	"context"
	"flag"
	"os"
	"slices"
	"time"

	"meshgate/internal/e2e"
)

// patience bounds the whole run.
const patience = 45 * time.Minute

// parts are what can be measured, in this order. Without arguments it is all.
var parts = []struct {
	name    string
	measure func(context.Context, e2e.TB, sheet)
}{
	{"talk", measureTalk},
	{"mirrors", measureMirrors},
	{"presence", measurePresence},
	{"publish", measurePublishing},
	{"resume", measureResume},
	{"durable", measureOnAndOff},
	{"waiting", measureWaiting},
	{"clique", measureClique},
	{"rooms", measureRooms},
	{"dsps", measureDSPS},
	{"idle", measureIdle},
}

func main() {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case peersCommand:
			os.Exit(publishPeers(os.Args[2:]))
		case publishCommand:
			os.Exit(publish(os.Args[2:]))
		case serviceCommand:
			os.Exit(serveStreams(os.Args[2:]))
		}
	}
	flag.Parse()
	os.Exit(e2e.Main("bench", os.Stderr, func(tb e2e.TB) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, p := range parts {
			if flag.NArg() == 0 || slices.Contains(flag.Args(), p.name) {
				p.measure(ctx, tb, sheet{os.Stdout})
			}
		}
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
