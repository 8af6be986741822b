package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
)

func runCommand(args []string, p process) int {
	o, code, done := parse("run", args, p)
	if done {
		return code
	}
	c := load(o.config, p.host())
	if c.fatal() > 0 {
		c.write(p.stderr)
		return exitConfig
	}
	log := newLogger(p.stderr, c.Log, o.verbose)
	c.logProblems(log, slog.LevelError)
	st, err := openState(c.statePath(), c.Outbox.Messages, log.With("part", "state"))
	if err != nil {
		log.Error("not started", "err", err)
		return exitFailed
	}
	defer st.close()
	g, err := build(c, p, st, log)
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: %v\n", c.file, err)
		return exitConfig
	}
	return g.runUntilSignal(c, p, log)
}

// runUntilSignal runs the gateway until it is told to stop, or fails.
func (g *gateway) runUntilSignal(c *config, p process, log *slog.Logger) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan struct{})
	told := false // by a signal; read once the goroutine is gone
	var wg sync.WaitGroup
	wg.Go(func() {
		told = handleSignals(over, stop, p, log, orders{reload: func() { c.reload(log) }, leave: g.leave})
	})
	log.Info("starting", "version", buildVersion(), "config", c.file, "jid", c.Account.JID, "contacts", len(c.Contacts))
	err := runStages(ctx, c.Grace, g.stages()...)
	if err == nil {
		g.state.seal()
	}
	close(over)
	wg.Wait()
	g.watch.logCounters()
	if err == nil && !told {
		err = errors.New("a part ended by itself")
	}
	if err != nil {
		log.Error("stopped", "err", err)
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}

// leave has the gateway end, once it stops, as if for good: it logs out and leaves its rooms.
func (g *gateway) leave() {
	g.clique.LeaveOnStop()
	g.server.CloseOnStop()
}

// orders are what a signal can say beside "stop".
type orders struct{ reload, leave func() }

// handleSignals stops the gateway at the first signal and kills it at the
// second, until the gateway is over. It returns whether there was a first.
func handleSignals(over <-chan struct{}, stop func(), p process, log *slog.Logger, o orders) (told bool) {
	for {
		select {
		case <-over:
			return told
		case s := <-p.signals:
			switch {
			case s == syscall.SIGHUP:
				o.reload()
			case told:
				log.Error("killed by a second signal", "signal", s.String())
				p.kill(exitFailed)
			default:
				if s == syscall.SIGUSR1 {
					o.leave()
				}
				log.Info("stopping", "signal", s.String())
				told = true
				stop()
			}
		}
	}
}

// reload reads the configuration again, and says whether the next start will
// go well.
func (c *config) reload(log *slog.Logger) {
	if c.file == stdinName {
		log.Warn("the configuration came from standard input, there is no file to read again")
		return
	}
	n := load(c.file, c.host)
	n.logProblems(log, slog.LevelError)
	if e := n.errors(); e > 0 {
		log.Error("the configuration is wrong, nothing changes", "file", n.file, "errors", e)
		return
	}
	log.Info("the configuration is good, restart meshgate to apply it", "file", n.file)
}

// logProblems logs each problem of the configuration: errors at the level
// given, warnings as such.
func (c *config) logProblems(log *slog.Logger, errorLevel slog.Level) {
	for _, x := range c.ordered() {
		l := errorLevel
		if x.warning {
			l = slog.LevelWarn
		}
		log.Log(context.Background(), l, "configuration", "file", c.file, "line", x.line, "key", x.path, "problem", x.text)
	}
}
