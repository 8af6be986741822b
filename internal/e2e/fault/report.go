package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A report has at most so many of each.
const (
	mostSpans   = 20
	mostMoments = 40
)

// A moment is when something happened to the office, or what the gateway noticed of it.
type moment struct {
	at   time.Time
	what string
}

func (m moment) String() string { return m.at.Format(clock) + " " + m.what }

// report says what was not as promised, and keeps the logs in a directory in dir;
// nothing if all is well. What matters most comes last: of the output of many tests only
// the end may be shown.
func (res result) report(dir string) string {
	wrong := res.faults()
	if len(wrong) == 0 {
		return ""
	}
	at, err := res.run.keepLogs(dir)
	if err != nil {
		at = err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "logs: %s\n", at)
	b.WriteString(res.run.tale())
	fmt.Fprintf(&b, "doubled: %s\n", strings.Join(excerpt(res.doubled, mostSpans), ", "))
	fmt.Fprintf(&b, "lost: %s\n", strings.Join(excerpt(res.lost, mostSpans), ", "))
	fmt.Fprintf(&b, "%s on %s with seed %d: %s", res.run.name, res.run.o.Server.Kind, res.run.seed, strings.Join(wrong, "; "))
	return b.String()
}

// excerpt is the end of a long list.
func excerpt[T any](list []T, most int) []T { return list[max(0, len(list)-most):] }

// spans names messages of a way, those in a row together, and when they were sent.
func (w *way) spans(numbers []int) (list []string) {
	sent := w.snapshot().sent
	slices.Sort(numbers)
	for len(numbers) > 0 {
		n := 1
		for n < len(numbers) && numbers[n] == numbers[0]+n {
			n++
		}
		first, last := numbers[0], numbers[n-1]
		numbers = numbers[n:]
		span := fmt.Sprintf("%s.%d sent at %s", w.tag, first, sent[first].at.Format(clock))
		if last > first {
			span = fmt.Sprintf("%s.%d to %d sent at %s to %s", w.tag, first, last, sent[first].at.Format(clock), sent[last].at.Format(clock))
		}
		list = append(list, span)
	}
	return list
}

// tale is the last of the moments, each on a line.
func (r *run) tale() string {
	var b strings.Builder
	for _, m := range excerpt(r.moments(), mostMoments) {
		fmt.Fprintln(&b, m)
	}
	return b.String()
}

// moments are what harm was done, and how the gateway came into its rooms, and to its
// server, in the order of time.
func (r *run) moments() []moment {
	list := slices.Clone(r.story)
	for i, g := range r.gateways {
		for _, rec := range logged(g) {
			if rec.Msg == "online" || rec.Msg == "in the room" && rec.Part == "clique" {
				list = append(list, moment{rec.Time.Local(), fmt.Sprintf("gateway %d, %s: %s, resumed: %t", i, rec.Part, rec.Msg, rec.Resumed)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b moment) int { return a.at.Compare(b.at) })
	return list
}
