package alarm

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarmFiresForTheDeadlineItWasLastSetTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var a Alarm
		defer a.Stop()
		a.Set(start.Add(time.Hour))
		a.Set(start.Add(time.Minute))
		<-a.C()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("fired after %v, want 1m", got)
		}
		a.Set(start.Add(time.Second)) // already past
		<-a.C()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("a past deadline fired at %v, want at once", got)
		}
	})
}

func TestADisarmedAlarmStaysSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Alarm
		if a.C() != nil {
			t.Error("the zero alarm has a channel that could fire")
		}
		a.Set(time.Now().Add(time.Second))
		a.Set(time.Time{})
		select {
		case <-a.C():
			t.Error("fired although disarmed")
		case <-time.After(time.Minute):
		}
	})
}
