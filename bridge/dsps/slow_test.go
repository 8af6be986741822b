package dsps

import (
	"fmt"
	"testing"
	"time"
)

// joined has somebody join a public stream, and connect.
func (p *party) joined(who JID) {
	p.t.Helper()
	public := first(p.query("get", rob, p.addr[rob], Stats{})[0]).(StreamStats).PublicID
	p.addr[who] = p.prepared(p.query("result", who, public, Answer{true}))
	p.conn[who] = p.connect(who, p.addr[who])
}

// takes has somebody take so much in each of so many seconds.
func (p *party) takes(who JID, bytes int64, seconds int) Output {
	for range seconds {
		p.e.HandleProgress(p.now, p.conn[who], bytes, time.Second)
	}
	return p.did()
}

const (
	dan  JID = "dan@away.org/d"
	dan2 JID = "dan@away.org/other"
)

// DS-11, DS-13: who has joined unasked and takes less than the service wants is
// dropped with a word; who was invited is not, and nor is one that takes enough.
func TestStrangersTakeEnoughOrGo(t *testing.T) {
	p := newParty(t, Create{MaxPublic: 3}, func(c *Config) { c.PublicFloor = 1000 })
	p.joined(dan)
	p.takes(dan, 1000, 40)
	p.wantActions("enough")
	p.takes(bob, 1, 40)
	p.wantActions("bob was invited")
	p.takes(dan, 0, 1)
	p.wantActions("too little", fmt.Sprintf("abort conn=%d", p.conn[dan]))
	if p.out.Actions[0].Why == "" {
		t.Error("the log does not say why")
	}
	p.want("it is dropped, and only masters hear of it", p.out.Stanzas, string(dan)+" set dropped",
		string(rob)+" set presence "+string(dan)+"=drop", string(ann)+" set presence "+string(dan)+"=drop")
	if d, ok := first(p.out.Stanzas[0]).(Dropped); !ok || len(d.Comments) != 1 || d.Comments[0].Text() == "" {
		t.Errorf("it is told %v", p.out.Stanzas[0].Element())
	}
	if p.e.Counters().TooSlow != 1 {
		t.Error("not counted")
	}
	public := first(p.query("get", rob, p.addr[rob], Stats{})[0]).(StreamStats).PublicID
	p.want("nor may another of its clients join", p.query("result", dan2, public, Answer{true}), string(dan2)+" error 403")
	p.addr[dan] = p.accept(dan, p.invite(rob, p.addr[rob], dan, Slave))
	p.conn[dan] = p.connect(dan, p.addr[dan])
	p.takes(dan, 1, 40)
	p.wantActions("but it may be invited")
}

// DS-11: coming again, or as another client, gives a stranger no more time.
func TestStrangersGainNothingByComingAgain(t *testing.T) {
	for what, again := range map[string]func(p *party) JID{
		"connects again": func(p *party) JID {
			p.closed(p.conn[dan])
			p.conn[dan] = p.connect(dan, p.addr[dan])
			return dan
		},
		"joins again":       func(p *party) JID { p.drop(dan, dan); p.joined(dan); return dan },
		"as another client": func(p *party) JID { p.joined(dan2); return dan2 },
	} {
		p := newParty(t, Create{MaxPublic: 3})
		p.joined(dan)
		p.takes(dan, int64(defaultFloor)-1, 15)
		who := again(p)
		p.takes(who, 0, 1)
		p.want(what, p.out.Stanzas, string(who)+" set dropped",
			string(rob)+" set presence "+string(who)+"=drop", string(ann)+" set presence "+string(who)+"=drop")
	}
}

// DS-11: what the creator wants is measured as before: who takes less is
// disconnected, and not dropped, unless it is below the service's own least.
func TestStrangersAreMeasuredByBoth(t *testing.T) {
	p := newParty(t, Create{MaxPublic: 3, MinThroughput: 2000}, func(c *Config) { c.PublicFloor = 1000 })
	p.joined(dan)
	p.takes(dan, 1500, 16)
	p.want("disconnected", p.out.Stanzas, string(rob)+" set presence "+string(dan)+"=waiting", string(ann)+" set presence "+string(dan)+"=waiting")
	p = newParty(t, Create{MaxPublic: 3}, func(c *Config) { c.PublicFloor = -1 })
	p.joined(dan)
	p.takes(dan, 1, 100)
	p.wantActions("the service wants nothing")
}

func TestStrangersThatAreKnownAreBounded(t *testing.T) {
	var s streamState
	kept := s.meterOf("last@x/a")
	for i := range maxStrangers {
		if s.meterOf(JID(fmt.Sprintf("some%d@x", i))) == kept {
			t.Error("two have one meter")
		}
	}
	if len(s.strangers) != maxStrangers || s.meterOf("last@x/b") == kept {
		t.Errorf("%d are known", len(s.strangers))
	}
}
