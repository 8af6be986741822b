// Command fault shows that nothing is lost and nothing doubled when connections
// break, the gateway is killed and the server restarted. Peers on a LAN and
// contacts on a real server send each other numbered messages at the same
// time, and the gateway's connection runs through a proxy that harms it. It
// prints a table and exits with status 1 if a message is missing, or came
// twice under different ids.
//
//	go run ./internal/e2e/fault                      all runs, in full size, on both servers
//	go run ./internal/e2e/fault -server ejabberd -run cuts,kills
//	go run ./internal/e2e/fault -small               the size that the tests have
//	go run ./internal/e2e/fault -messages 1000 -cuts 20 -seed 7
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"meshgate/internal/e2e"
)

// A choice is what the flags say.
type choice struct {
	servers, runs string
	small         bool
	seed          uint64
	logs          string
	messages      int
	cuts          int
	kills         int
	restarts      int
}

func parseFlags() choice {
	var c choice
	flag.StringVar(&c.servers, "server", "prosody,ejabberd", "which servers")
	flag.StringVar(&c.runs, "run", names(), "which runs")
	flag.BoolVar(&c.small, "small", false, "few messages and little harm, as in the tests")
	flag.Uint64Var(&c.seed, "seed", rand.Uint64(), "what makes the harm random")
	flag.StringVar(&c.logs, "logs", "", "directory for the logs of what has failed (default: a new one in the temporary directory)")
	flag.IntVar(&c.messages, "messages", -1, "messages in each direction instead of those of the run")
	flag.IntVar(&c.cuts, "cuts", -1, "cuts instead of those of the run")
	flag.IntVar(&c.kills, "kills", -1, "kills of the gateway instead of those of the run")
	flag.IntVar(&c.restarts, "restarts", -1, "restarts of the server instead of those of the run")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: fault [flags]\n\nruns:")
		for _, p := range plans {
			fmt.Fprintf(flag.CommandLine.Output(), "  %-8s%s\n", p.name, p.about)
		}
		fmt.Fprintln(flag.CommandLine.Output(), "\nflags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	return c
}

func names() string {
	var all []string
	for _, p := range plans {
		all = append(all, p.name)
	}
	return strings.Join(all, ",")
}

// of is the plan as it was chosen.
func (c choice) of(p plan) plan {
	if c.small {
		p = p.small()
	}
	for _, set := range []struct {
		to     *int
		chosen int
	}{{&p.messages, c.messages}, {&p.count, c.cuts}, {&p.kills, c.kills}, {&p.restarts, c.restarts}} {
		if set.chosen >= 0 && *set.to > 0 {
			*set.to = set.chosen
		}
	}
	return p
}

func main() {
	c := parseFlags()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Printf("seed %d\n", c.seed)
	out, status := newTable(os.Stdout), 0
	for _, p := range plans {
		for _, server := range []string{"prosody", "ejabberd"} {
			if listed(c.runs, p.name) && listed(c.servers, server) && ctx.Err() == nil && !c.carryOut(ctx, p, server, out) {
				status = 1
			}
		}
	}
	out.print()
	fmt.Print(legend)
	cancel()
	os.Exit(status)
}

// carryOut runs one plan on one server and reports whether all was well.
//
// When ctx ends it judges what there is.
func (c choice) carryOut(ctx context.Context, p plan, server string, out table) (well bool) {
	return e2e.Main("fault", os.Stderr, func(tb e2e.TB) {
		tb.Logf("fault: %s on %s: %s", p.name, server, p.about)
		res := carryOut(ctx, tb, c.of(p), server == "ejabberd", c.seed)
		out.add(res)
		report := res.report(c.logs)
		if well = report == ""; well {
			report = "all is well"
		}
		// Not as an error: the lab would print the ends of all logs, which are kept.
		tb.Logf("fault: %s on %s, %v: %s", p.name, server, res.took.Round(time.Second), report)
	}) == 0 && well
}

func listed(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }
