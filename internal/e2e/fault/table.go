package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// A table is where results are printed, two lines for each run.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprintln(t.w, "server\trun\tway\tsent\treceived\tlost\tdoubled\trepeated\treordered\tunread\tlost by server\tkept\tsessions lost\tresumed\ttook\tledger balanced\t")
	return t
}

func (t table) add(res result) {
	t.row(res, "LAN to network", res.up)
	t.row(res, "network to LAN", res.down)
}

func (t table) row(res result, way string, v verdict) {
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t\n", res.run.o.Server.Kind, res.run.name, way,
		v.sent, v.received, len(v.lost), len(v.doubled), v.repeated, v.reordered, v.unread, v.byServer, v.kept,
		res.lostSessions, res.resumed, res.took.Round(time.Second), res.balanced())
}

// balanced says whether the ledger is; a room's lines are not in it.
func (res result) balanced() string {
	if res.run.room {
		return "-"
	}
	return res.balance.String()
}

// legend explains the columns.
const legend = `
lost       never came, or not whole
doubled    came again under another id, or without one
repeated   came again with the id that it had before, so that its receiver can tell
reordered  came after one that was sent later (ejabberd itself does that to what waits when a receiver resumes)
unread     in a LAN socket, or in no more than the memory, of a gateway that was killed within a second: no
           LAN peer is told what the other side has got (XEP-0174), but it sees the connection break
lost by server
           the server took it, for it is in its sender's archive there, or has acknowledged it, as the gateway's ledger
           says; and it is not in the archive of whom it was sent to: the server lost it when it, or a session, ended
kept       the server has it in the archive of the contact, whose client, a plain one, does not look there
`

func (t table) print() {
	t.w.Flush()
}

// faults says what of a result must not be; nothing if all is as promised.
func (res result) faults() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, d := range []struct {
		way     string
		v       verdict
		reorder bool
	}{
		{"LAN to network", res.up, false},
		{"network to LAN", res.down, res.run.ejabberd},
	} {
		if len(d.v.lost) > 0 {
			say("%s: %d lost", d.way, len(d.v.lost))
		}
		if len(d.v.doubled) > 0 {
			say("%s: %d doubled", d.way, len(d.v.doubled))
		}
		if d.v.repeated > 0 && !res.run.mayRepeat(res.run.ejabberd) {
			say("%s: %d repeated", d.way, d.v.repeated)
		}
		if d.v.reordered > 0 && !d.reorder {
			say("%s: %d out of order", d.way, d.v.reordered)
		}
	}
	if res.run.room {
		return wrong
	}
	if !res.balance.even() {
		say("the ledger does not balance: %v", res.balance)
	}
	if len(res.run.gateways) == 1 {
		wrong = append(wrong, miscounted("LAN to network", res.up, res.balance.FromLAN, res.up.byServer+res.up.kept)...)
		wrong = append(wrong, miscounted("network to LAN", res.down, res.balance.FromNetwork, 0)...)
	}
	return wrong
}

// miscounted compares what one process of the gateway has counted as delivered with
// what has come: all of it, once. Gone is what is delivered when the server has
// acknowledged it, and yet may not come.
func miscounted(way string, v verdict, a account, gone int) []string {
	n := int(a.Ended["delivered"])
	if n >= v.received && n <= v.received+gone {
		return nil
	}
	return []string{fmt.Sprintf("%s: the ledger has %d delivered, %d have come", way, n, v.received)}
}
