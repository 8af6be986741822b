package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// A sheet is where figures are printed, one a line:
//
//	figure NAME VALUE UNIT
type sheet struct{ w io.Writer }

func (s sheet) figure(name string, value float64, unit string) {
	fmt.Fprintf(s.w, "figure %s %.4g %s\n", name, value, unit)
}

// quantile is the q-quantile of times, which it sorts.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
