package rmulticast

import (
	"fmt"
	"testing"
	"time"
)

// CQ-02, CQ-05: who is killed and comes back is told what was said meanwhile, and
// the others have noticed nothing.
func TestResume(t *testing.T) {
	l := newLAN(t, 30)
	room := l.room("a", "b", "c")
	a, b, c := room[0], room[1], room[2]
	id := c.Self()
	a.say("before")
	c.say("mine")
	l.run(3 * time.Second)
	c.killFor(10 * time.Second)
	var said []string
	for i := range 20 {
		said = append(said, fmt.Sprint("meanwhile ", i))
		[]*node{a, b}[i%2].say(said[i])
		l.run(300 * time.Millisecond)
	}
	took := l.until(15*time.Second, "c is back", func() bool { return len(c.got) == 21 })
	if took > 10*time.Second-6*time.Second+resumeListen+time.Second {
		t.Errorf("it took %v", took)
	}
	want(t, "what c was told", c.texts(""), append([]string{"before"}, said...)...)
	want(t, "what c saw", c.log, "joined a b", "killed", "resumed", "joined a b")
	c.say("back")
	l.run(time.Second)
	want(t, "what b was told of c", b.texts("c"), "mine", "back")
	want(t, "what a saw", a.log, "joined b c")
	if c.Self() != id || c.Stats().Resumed != 1 {
		t.Errorf("c is %v, was %v", c.Self(), id)
	}
}
