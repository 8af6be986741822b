package bridge

import "time"

// An announcer keeps the gateway's own presence at what it should be, without
// changing it too often.
type announcer struct {
	damp    time.Duration
	told    string
	notTill time.Time
	next    time.Time // when to call update again; zero: never
}

// update notes that the status may have changed, and returns the command that
// tells it, if one is due. The status is made no more often than it could be told.
func (a *announcer) update(now time.Time, status func() string) action {
	if now.Before(a.notTill) {
		a.next = a.notTill
		return nil
	}
	a.next, a.notTill = time.Time{}, now.Add(a.damp)
	s := status()
	if s == a.told {
		return nil
	}
	a.told = s
	return setPresence{"", s}
}
