package xmppc2s_test

import "testing"

// SM-12: what another process gets again in the same session has the place that
// it had before; what comes in another session has another one.
func TestAPlaceIsTheSameInAnotherProcess(t *testing.T) {
	s, j := newFake(t), newMemJournal()
	h, conn, stop := handleInTheDark(t, s, j, "in2", "in3")
	left := j.after(false)
	stop()
	conn.cut()

	_, again, _ := start(t, journaled(s, left))
	conn = s.accept()
	conn.resumed(2)
	conn.send("<message id='in2' from='bob@example.org/x'/><message id='in3' from='bob@example.org/x'/>")
	again.awaitIDs("in2", "in3")
	places := map[string]bool{}
	for i, m := range h.messages() {
		places[m.Place] = true
		if i > 0 && again.messages()[i-1].Place != m.Place {
			t.Errorf("message %d was at %q and is at %q", i, m.Place, again.messages()[i-1].Place)
		}
	}
	if len(places) != 3 || places[""] {
		t.Errorf("places: %v", places)
	}
}
