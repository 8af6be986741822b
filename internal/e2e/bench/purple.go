package main

import (
	"strconv"
	"time"

	"meshgate/internal/e2e"
)

// measurePurple prints how soon a libpurple that starts in a running office
// shows all of it, its own start included: what a person waits for after the
// click on Pidgin.
func measurePurple(o *e2e.Office, out sheet) {
	var times []float64
	for run := range startRuns {
		begin := time.Now()
		p := o.Host("h2").StartPurple("bob"+strconv.Itoa(run), e2e.PurpleOptions{})
		for i := range mirrorCount {
			p.AwaitOn(o.Mirror("user" + strconv.Itoa(i)))
		}
		times = append(times, time.Since(begin).Seconds())
		p.Quit()
	}
	out.figure("libpurple_sees_300_after_its_start", median(times), "s")
}
