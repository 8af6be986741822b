package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An end is one place from which numbered messages are sent and where they
// arrive: an XMPP client, or a peer on the LAN.
type end interface {
	// send writes a message whose text ends in the number.
	send(n int) error
	// arrivals yields the numbers that arrive, with the time.
	arrivals() <-chan arrival
}

type arrival struct {
	n  int
	at time.Time
}

// body is the text of message n: 100 bytes, as in the baselines.
func body(n int) string { return strings.Repeat("x", 92) + fmt.Sprintf(" %07d", n) }

// number reads it back, whatever a gateway has put in front.
func number(text string) (int, bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.Atoi(text[i+1:])
	return n, err == nil
}

// warmUp is how many messages go before those that count: the kernel holds
// acknowledgements back on a connection that was idle, and the first message
// or two then wait for Nagle's algorithm at the other end.
const warmUp = 5

// latency sends messages at the given rate per second and returns how long
// each of the last count took.
func latency(ctx context.Context, from, to end, count, rate int) ([]time.Duration, error) {
	count += warmUp
	sent := make([]time.Time, count)
	times := make([]time.Duration, 0, count)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	next := 0
	for len(times) < count {
		select {
		case <-tick.C:
			if next < count {
				sent[next] = time.Now()
				if err := from.send(next); err != nil {
					return nil, err
				}
				next++
			}
		case a := <-to.arrivals():
			if a.n < next {
				times = append(times, a.at.Sub(sent[a.n]))
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages arrived: %w", len(times), count, ctx.Err())
		}
	}
	return times[warmUp:], nil
}

// rate sends count messages as fast as they are taken and returns how many a
// second arrived, from the first sent to the last arrived.
func rate(ctx context.Context, from, to end, count int) (float64, error) {
	start := time.Now()
	failed := make(chan error, 1)
	go func() {
		for n := range count {
			if err := from.send(n); err != nil {
				failed <- err
				return
			}
		}
	}()
	for got := 0; got < count; {
		select {
		case <-to.arrivals():
			got++
		case err := <-failed:
			return 0, err
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d messages arrived: %w", got, count, ctx.Err())
		}
	}
	return float64(count) / time.Since(start).Seconds(), nil
}
