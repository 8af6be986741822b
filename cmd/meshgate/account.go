package main

import (
	"context"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/bridge/status"
	"meshgate/xmppc2s"
)

// ledger is what has become of the messages, in memory and on the disk.
func (g *gateway) ledger(ctx context.Context) (status.Ledger, error) {
	g.state.settle(ctx)
	s := g.hub.Stats()
	l := status.Ledger{
		Balanced: s.FromLAN.Balanced() && s.FromNetwork.Balanced(),
		FromLAN:  accountOf(s.FromLAN), FromNetwork: accountOf(s.FromNetwork),
	}
	lan, network := g.hub.Kept()
	l.Disk.FromLAN, l.Disk.FromNetwork = accountOf(lan), accountOf(network)
	return l, nil
}

func accountOf(l bridge.Ledger) status.Account {
	a := status.Account{Entered: l.Entered, Carried: l.Carried, Pending: l.Pending, Ended: map[string]uint64{}}
	for _, o := range bridge.Outcomes() {
		if n := l.Ended[o]; n > 0 {
			a.Ended[o.String()] = n
		}
	}
	return a
}

// trace finds the last messages of what a person has written: an id, a
// presence name, an address.
func (g *gateway) trace(ctx context.Context, of string, n int) ([]status.Entry, error) {
	g.state.settle(ctx)
	found, err := g.hub.Entries(ctx, fitting(of), n)
	if err != nil {
		return nil, err
	}
	queued, _, err := g.server.Queue(ctx, maxTraced)
	if err != nil {
		return nil, err
	}
	where := map[string]xmppc2s.Queued{}
	for _, q := range queued {
		where[q.ID] = q
	}
	list := make([]status.Entry, len(found))
	for i, x := range found {
		list[i] = entryOf(x)
		if q, ok := where[x.ID]; ok && x.FromLAN && x.End == bridge.Pending {
			list[i].Queue, list[i].Reason = string(q.State), q.Reason
		}
	}
	return list, nil
}

// queue is what waits for the server, as the control socket tells it.
type queue struct{ server *xmppc2s.Client }

func (q queue) List(ctx context.Context, n int) (status.Waiting, error) {
	list, total, err := q.server.Queue(ctx, n)
	w := status.Waiting{Total: total, List: make([]status.Queued, len(list))}
	for i, x := range list {
		w.List[i] = status.Queued{
			Seq: x.Seq, ID: x.ID, To: x.To, Kind: x.Kind, Lane: x.Lane, Since: x.At.Round(0), Bytes: x.Bytes,
			State: string(x.State), Reason: x.Reason,
		}
	}
	return w, err
}

func (q queue) Show(ctx context.Context, seq uint64) (string, error) {
	b, err := q.server.QueuedStanza(ctx, seq)
	return string(b), err
}

func (q queue) Drop(ctx context.Context, seq uint64) error  { return q.server.DropQueued(ctx, seq) }
func (q queue) Retry(ctx context.Context, seq uint64) error { return q.server.RetryQueued(ctx, seq) }

// maxTraced is how far into the queue is looked for where a message stands.
const maxTraced = 1000

// fitting recognises the entries that are meant.
func fitting(of string) func(bridge.Entry) bool {
	bare := of
	if j, err := jid.Parse(of); err == nil {
		bare = j.Bare().String()
	}
	return func(x bridge.Entry) bool {
		return of == "" || x.ID == of || strings.EqualFold(string(x.Peer), of) || x.Contact != "" && x.Contact == bare
	}
}

func entryOf(x bridge.Entry) status.Entry {
	e := status.Entry{ID: x.ID, From: "network", Peer: string(x.Peer), Contact: x.Contact, Came: x.Came, End: x.End.String(), Why: x.Why}
	if x.FromLAN {
		e.From = "lan"
	}
	e.Ended, e.Passed = unlessZero(x.Ended), unlessZero(x.Passed)
	return e
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
