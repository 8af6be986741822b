package main

import (
	"testing"
	"time"
)

// SM-04, SM-07, SM-09, SM-11, SM-12: nothing is lost and nothing doubled, in
// the size of every day; `make fault` has the full one.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, p := range plans {
		for server, ejabberd := range map[string]bool{"prosody": false, "ejabberd": true} {
			if ejabberd && p.restarts > 0 {
				continue // what ejabberd itself does then takes minutes to wait for
			}
			t.Run(p.name+" on "+server, func(t *testing.T) {
				t.Parallel()
				var report string
				// Behind the lab's end, so that nothing comes after it; and the lab does not print
				// the ends of all logs, which are kept.
				t.Cleanup(func() {
					if report != "" {
						t.Error(report)
					}
				})
				res := carryOut(t.Context(), t, p.small(), ejabberd, uint64(time.Now().UnixNano()))
				t.Logf("%+v %+v", res.up, res.down)
				report = res.report("")
			})
		}
	}
}
