package sm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWhatIsTooLargeIsRefusedOrGivenUp(t *testing.T) {
	large := "<message id='large'><body>" + strings.Repeat("x", 300) + "</body></message>"
	e := active(t, Policy{}, 0)
	enqueue(t, e, t0, large, m(1)) // this server takes it
	e.Lost(Broken)
	e.Forget()
	gone := e.Bound(t0, Binding{Dialect: V3, Limits: Limits{MaxStanza: 300}}) // the next one does not
	if len(gone) != 1 || !errors.Is(gone[0].Reason, ErrTooLarge) || string(gone[0].Bytes) != large {
		t.Errorf("given up: %v", gone)
	}
	if _, err := e.Enqueue(t0, []byte(large)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("taken: %v", err)
	}
	if n, _ := e.Queued(); n != 1 {
		t.Errorf("%d stanzas wait", n)
	}
}

// SM-13
func TestWeSpeakBeforeTheServerDoubtsUs(t *testing.T) {
	e := New(Policy{Keepalive: time.Minute})
	e.Bound(t0, Binding{Dialect: V3, Limits: Limits{Idle: 30 * time.Second}})
	e.AppendWrite(t0, nil)
	feed(t, e, t0, "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>")
	for i := range 14 { // it speaks to us all the time
		now := at(time.Duration(i) * time.Second)
		feed(t, e, now, "<presence/>")
		wantWrite(t, "silence", e, now, "")
	}
	if got := e.NextTimeout(); !got.Equal(at(15 * time.Second)) {
		t.Errorf("wakes up after %v", got.Sub(t0))
	}
	wantWrite(t, "a request", e, at(15*time.Second), request)
}
