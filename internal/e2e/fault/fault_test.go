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
		if p.kills > 0 || p.nasty {
			continue
		}
		for server, ejabberd := range map[string]bool{"prosody": false, "ejabberd": true} {
			t.Run(p.name+" on "+server, func(t *testing.T) {
				t.Parallel()
				res := carryOut(t.Context(), t, p.small(), ejabberd, uint64(time.Now().UnixNano()))
				t.Logf("%+v %+v", res.up, res.down)
				if report := res.report(""); report != "" {
					t.Error(report)
				}
			})
		}
	}
}
