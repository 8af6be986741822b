package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"meshgate/bridge/rooms"
	"meshgate/bridge/status"
	"meshgate/linklocal"
)

// controlOff is what the key control says where there is to be no socket.
const controlOff = "off"

func (c *config) checkControl() {
	switch {
	case c.Control == controlOff:
	case c.Control == "":
		c.wrong("control", "is empty; write the path of a socket, or off")
	case len(c.Control) > maxSocketPath:
		c.wrong("control", "has %d bytes; the path of a socket has at most %d", len(c.Control), maxSocketPath)
	}
}

// controlPath is where the socket is to be; "": nowhere.
func (c *config) controlPath() string {
	if c.Control == controlOff {
		return ""
	}
	return c.resolve(c.Control)
}

// maxSocketPath is the size of sun_path, less its final zero: unix(7), and
// four bytes less on macOS.
const maxSocketPath = 103

// statusConfig says where the gateway answers questions about itself, and how.
func (g *gateway) statusConfig(c *config, log *slog.Logger) status.Config {
	started := time.Now()
	return status.Config{
		Path:   c.controlPath(),
		Health: g.hub.Ping,
		Report: func() status.Report {
			lan, server, streams := g.watch.words()
			return status.Report{
				Version: buildVersion(), PID: os.Getpid(), Started: started, LAN: lan, Server: server, Streams: streams,
				Online: g.server.Stats().Online, Parts: g.watch.counterTree(),
			}
		},
		Peers: func(ctx context.Context) ([]status.Peer, error) {
			list, err := g.lan.Peers(ctx)
			return peersOf(list), err
		},
		Survey: func(ctx context.Context) (any, error) { return c.askServer(ctx), nil },
		Ledger: g.ledger,
		Trace:  g.trace,
		Queue:  queue{g.server},
		Rooms:  func() []status.Room { return roomsOf(g.rooms.List()) },
		Forget: func(name string) (bool, error) { return g.state.pins.forget(name) },
		Log:    log,
	}
}

func roomsOf(list []rooms.Info) []status.Room {
	out := make([]status.Room, len(list))
	for i, r := range list {
		out[i] = status.Room{Name: r.Name, MUC: r.MUC.String(), State: r.State, Carrier: r.Carrier, Members: r.Members, Occupants: r.Occupants, More: r.More}
		if r.Group.IsValid() {
			out[i].Group = r.Group.String()
		}
		if r.Refused != "" {
			out[i].State += ": " + r.Refused
		}
	}
	return out
}

func peersOf(list []linklocal.PeerInfo) []status.Peer {
	peers := make([]status.Peer, 0, len(list))
	for _, p := range list {
		st := p.Presence.Status
		if st == "" {
			st = linklocal.Available
		}
		peers = append(peers, status.Peer{
			Name: string(p.Instance), Own: string(p.Contact), Wanted: string(p.Wanted), Client: p.Client,
			Status: string(st), Message: p.Presence.Msg, Host: p.Host, Addrs: p.Addrs, Port: p.Port, Links: p.Links,
			Since: p.Since.Round(0), Changed: p.Changed.Round(0), Streams: p.Streams, TLS: p.TLS,
		})
	}
	return peers
}

// words is what the status line says of each side, and of streams.
func (w *watch) words() (lan, server, streams string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lan, w.server, w.streams
}

// counterTree is what logCounters logs, by part and name.
func (w *watch) counterTree() map[string]any {
	tree := map[string]any{}
	for _, p := range w.parts {
		tree[p.name] = attrTree(counters(p.stats()))
	}
	return tree
}

func attrTree(attrs []any) map[string]any {
	tree := map[string]any{}
	for _, x := range attrs {
		a := x.(slog.Attr)
		if a.Value.Kind() != slog.KindGroup {
			tree[a.Key] = a.Value.Any()
			continue
		}
		var members []any
		for _, m := range a.Value.Group() {
			members = append(members, m)
		}
		tree[a.Key] = attrTree(members)
	}
	return tree
}
