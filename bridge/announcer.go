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

// announcerLook is how often the status is made while it stays as it is: a
// flood of peers who are not in it must not cost much, and a change of one who
// is must not wait long.
const announcerLook = 50 * time.Millisecond

// update notes that the status may have changed, and returns the command that
// tells it, if one is due.
func (a *announcer) update(now time.Time, status func() string) action {
	if now.Before(a.notTill) {
		a.next = a.notTill
		return nil
	}
	a.next, a.notTill = time.Time{}, now.Add(announcerLook)
	s := status()
	if s == a.told {
		return nil
	}
	a.told, a.notTill = s, now.Add(a.damp)
	return setPresence{"", s}
}
