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

// update returns the command that tells the status, if one is due.
func (a *announcer) update(now time.Time, status string) action {
	a.next = time.Time{}
	if status == a.told {
		return nil
	}
	if now.Before(a.notTill) {
		a.next = a.notTill
		return nil
	}
	a.told, a.notTill = status, now.Add(a.damp)
	return setPresence{"", status}
}
