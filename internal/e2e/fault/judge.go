package main

import (
	"slices"
	"time"
)

// A verdict is what has become of the messages of one way, or of several.
type verdict struct {
	sent, received int
	lost           []int // or came mangled
	doubled        []int // came again under another id, or without one
	repeated       int   // came again, with the id that they had before
	reordered      int   // came after one that was sent later
	unread         int   // see handsFull
	byServer       int   // never came: the server has taken it, and has it not for whom it was sent to
	kept           int   // never came: the server has it in the archive of the contact, whose client does not look there
}

// handsFull is how long before a kill of the gateway a message may have been
// written into its socket, and yet be in no more than its memory or the
// kernel's. Nobody acknowledges anything on a LAN stream (XEP-0174), so such a
// message is lost with the process, and its sender sees the connection break.
const handsFull = time.Second

// judge looks at every message of a way. Unread are those that were the last
// on a connection whose reader was killed, less than handsFull before it, and
// of which nothing behind them has come.
func judge(r record) verdict {
	v := verdict{sent: len(r.sent)}
	ids := make([][]string, len(r.sent))
	highest := -1
	for _, a := range inTime(r.came) {
		if a.n >= len(r.sent) || !a.whole {
			continue
		}
		switch seen := ids[a.n]; {
		case len(seen) == 0 && a.n < highest:
			v.reordered++
		case len(seen) == 0:
			highest = a.n
		case a.id != "" && a.id == seen[0]:
			v.repeated++
		default:
			v.doubled = append(v.doubled, a.n)
		}
		ids[a.n] = append(ids[a.n], a.id)
	}
	last := map[int]int{} // the last message of each stream that came
	for n, s := range r.sent {
		if len(ids[n]) > 0 {
			v.received++
			last[s.stream] = n
		}
	}
	for n, s := range r.sent {
		kill, killed := r.kills[s.stream]
		after, some := last[s.stream]
		switch {
		case len(ids[n]) > 0:
		case killed && (!some || n > after) && s.at.After(kill.Add(-handsFull)):
			v.unread++
		default:
			v.lost = append(v.lost, n)
		}
	}
	v.ask(r)
	return v
}

// inTime is in the order in which the messages were read: a peer that has two
// streams for a moment, to a gateway that was killed and to the next one, may
// note them in another one.
func inTime(came []arrival) []arrival {
	came = slices.Clone(came)
	slices.SortStableFunc(came, func(a, b arrival) int { return a.at.Compare(b.at) })
	return came
}

// ask takes from those that are lost what the server has lost, or still has. It
// has taken what it has in its sender's archive; and what it has acknowledged to
// the gateway, of which only the number is known.
func (v *verdict) ask(r record) {
	lost, acked := v.lost, r.acked
	v.lost = nil
	for _, n := range lost {
		switch {
		case r.given[n] && !r.toLAN:
			v.kept++
			acked--
		case r.taken[n] && !r.given[n]:
			v.byServer++
			acked--
		default:
			v.lost = append(v.lost, n)
		}
	}
	if acked = min(max(acked, 0), len(v.lost)); acked > 0 {
		v.byServer += acked
		if v.lost = v.lost[acked:]; len(v.lost) == 0 {
			v.lost = nil
		}
	}
}

// complete reports whether there is nothing to wait for.
func (v verdict) complete() bool { return len(v.lost) == 0 && v.unread == 0 }

// add takes another way's verdict in.
func (v *verdict) add(o verdict) {
	v.sent += o.sent
	v.received += o.received
	v.lost = append(v.lost, o.lost...)
	v.doubled = append(v.doubled, o.doubled...)
	v.repeated += o.repeated
	v.reordered += o.reordered
	v.unread += o.unread
	v.byServer += o.byServer
	v.kept += o.kept
}
