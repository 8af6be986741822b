package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"meshgate/bridge/status"
)

// redrawEvery is how often a table that nothing happens to is drawn again, for
// the ages in it.
const redrawEvery = 5 * time.Second

// A peerSource knows who is on the LAN.
type peerSource interface {
	Peers(context.Context) ([]status.Peer, error)
	// Follow calls f with who is there, and then with each change.
	Follow(ctx context.Context, f func([]status.Change)) error
}

func peersCommand(args []string, p process) int {
	o, code, done := parse("peers", args, p)
	if done {
		return code
	}
	return o.ask(p, func(ctx context.Context, path string) int {
		if err := o.show(ctx, status.Dial(path), p); err != nil && ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "meshgate peers: %s\n", controlWords(path, err))
			if noGateway(err) {
				fmt.Fprintln(p.stderr, "Without a gateway: meshgate browse")
			}
			return exitFailed
		}
		return exitOK
	})
}

// ask has do ask the running gateway, which listens at that path. It ends early
// when the process is to end.
func (o *options) ask(p process, do func(ctx context.Context, path string) (code int)) int {
	path, code := o.socketPath(p)
	if code != exitOK {
		return code
	}
	ctx, stop := p.untilSignal()
	defer stop()
	return do(ctx, path)
}

// socketPath is where the running gateway listens: as the command line says,
// else as the configuration says, else the default. Only a configuration that
// was asked for has to be good: not everybody may read it.
func (o *options) socketPath(p process) (path string, code int) {
	if o.socket != "" {
		return o.socket, exitOK
	}
	c := load(o.config, p.host())
	switch {
	case c.errors() == 0 && c.controlPath() == "":
		fmt.Fprintf(p.stderr, "meshgate: %s has control: off, so the gateway cannot be asked; try meshgate browse\n", c.file)
		return "", exitConfig
	case c.errors() == 0:
		return c.controlPath(), exitOK
	case !o.configGiven:
		return defaults().Control, exitOK
	}
	c.write(p.stderr)
	return "", exitConfig
}

// controlWords says why the gateway did not answer, and what to do.
func controlWords(path string, err error) string {
	switch {
	case noGateway(err):
		return "no gateway runs here: nobody listens at " + path
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("this user may not ask the gateway at %s; try it as root", path)
	}
	return strings.Replace(strings.TrimPrefix(err.Error(), "status: "), "says: xmppc2s: ", "says: ", 1)
}

// noGateway reports whether nobody listens.
func noGateway(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// untilSignal is a context that ends with the first signal to stop.
func (p process) untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for {
			select {
			case s := <-p.signals:
				if s != syscall.SIGHUP {
					stop()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, stop
}

// show writes who is there, and with -f goes on.
func (o *options) show(ctx context.Context, src peerSource, p process) error {
	if o.follow {
		return o.followPeers(ctx, src, p)
	}
	list, err := src.Peers(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(p, list)
	}
	_, err = fmt.Fprint(p.stdout, peerTable(list, time.Now(), columns(p.stdout)))
	return err
}

func writeJSON(p process, v any) error {
	e := p.encoder()
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// followPeers shows the changes as they come: on a terminal a table that is
// drawn again, else a line for each.
func (o *options) followPeers(ctx context.Context, src peerSource, p process) error {
	switch {
	case o.json:
		e := p.encoder()
		return src.Follow(ctx, func(changes []status.Change) {
			for _, c := range changes {
				_ = e.Encode(c) // a closed pipe ends us by SIGPIPE
			}
		})
	case isTerminal(p.stdout):
		return redraw(ctx, src, p)
	}
	return src.Follow(ctx, func(changes []status.Change) {
		for _, c := range changes {
			fmt.Fprint(p.stdout, changeLine(c, time.Now()))
		}
	})
}

// redraw draws the table whenever something changes, and now and then.
func redraw(ctx context.Context, src peerSource, p process) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan []status.Change)
	over := make(chan error, 1)
	go func() {
		over <- src.Follow(ctx, func(changes []status.Change) {
			select {
			case news <- changes:
			case <-ctx.Done():
			}
		})
	}()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	known := status.Roster{}
	for {
		select {
		case changes := <-news:
			known.Apply(changes)
		case <-tick.C:
		case err := <-over:
			return err
		}
		fmt.Fprint(p.stdout, clearScreen+screenful(peerTable(known.List(), time.Now(), columns(p.stdout)), int(windowOf(p.stdout).Row)))
	}
}
