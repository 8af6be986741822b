package main

import (
	"context"
	"fmt"

	"meshgate/bridge/status"
)

// forgetWords is what the log says to do about a peer with another key.
const forgetWords = "run meshgate forget with its name"

// forgetCommand has the running gateway forget the TLS key of a peer.
func forgetCommand(args []string, p process) int {
	o, code, done := parse("forget", args, p)
	if done {
		return code
	}
	return o.ask(p, func(ctx context.Context, path string) int {
		switch known, err := status.Dial(path).Forget(ctx, o.name); {
		case err != nil:
			fmt.Fprintf(p.stderr, "meshgate forget: %s\n", controlWords(path, err))
			return exitFailed
		case !known:
			fmt.Fprintf(p.stderr, "meshgate forget: no key is known of %q; meshgate peers has the names\n", o.name)
			return exitFailed
		}
		fmt.Fprintf(p.stdout, "The key of %s is forgotten. The next one that it shows will be trusted.\n", o.name)
		return exitOK
	})
}
