package dsps

import (
	"fmt"
	"testing"
	"time"
)

// DS-15: a stream without masters waits until all is taken, and then delivered, but
// has those cut off, again and again, who hold it up.
func TestEndedStreamHurries(t *testing.T) {
	p := newParty(t, Create{}, func(c *Config) { c.Drain = time.Minute })
	p.drop(rob, ann)
	p.pass(time.Hour)
	p.wantActions("it has a master")
	p.drop(rob, rob)
	hurries := func(what string) {
		for range 2 {
			p.pass(time.Minute - 1)
			p.wantActions(what + ": there is time")
			p.pass(1)
			p.wantActions(what+": there was", "hurry stream=1")
		}
	}
	hurries("what rob has sent is taken")
	p.closed(p.conn[rob])
	hurries("and delivered")
	p.closed(p.conn[bob])
	p.e.HandleDrained(1)
	p.want("all has ended", p.did().Stanzas, string(bob)+" set dropped", string(cat)+" set dropped")
	p.wantActions("cat has all", fmt.Sprintf("flush conn=%d", p.conn[cat]), "forget stream=1")
	if n := len(p.e.streams) + len(p.e.timers); n != 0 {
		t.Errorf("%d things are left", n)
	}
}
