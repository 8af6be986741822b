package main

import "time"

// A verdict is what has become of the messages of one way, or of several.
type verdict struct {
	sent, received int
	lost           []int // or came mangled
	doubled        []int // came again under another id, or without one
	repeated       int   // came again, with the id that they had before
	reordered      int   // came after one that was sent later
	unread         int   // see handsFull
	dropped        int   // never came: the server has taken it, and it is not where the gateway could find it
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
	for _, a := range r.came {
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
		case r.taken[n] && !r.given[n]:
			v.dropped++
		default:
			v.lost = append(v.lost, n)
		}
	}
	return v
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
	v.dropped += o.dropped
}
