package dsps

import (
	"slices"
	"time"

	"meshgate/internal/stanza"
)

// maxStrangers is of how many of those who joined unasked a stream knows how fast
// they are.
const maxStrangers = 64

// A stranger is somebody who has joined a public stream. How fast they are counts
// for all of their clients, and stays when they go: or else whoever comes again and
// again could hold up a stream for ever.
type stranger struct {
	who   JID // bare, folded
	meter *meter
}

// meterOf is that of a stranger, who may be a new one.
func (s *streamState) meterOf(client JID) *meter {
	who := client.Bare().fold()
	if i := slices.IndexFunc(s.strangers, func(x stranger) bool { return x.who == who }); i >= 0 {
		return s.strangers[i].meter
	}
	if len(s.strangers) == maxStrangers {
		s.strangers = slices.Delete(s.strangers, 0, 1)
	}
	s.strangers = append(s.strangers, stranger{who, &meter{}})
	return s.strangers[len(s.strangers)-1].meter
}

// tooSlow reports whether a stranger holds up others.
func (e *Engine) tooSlow(m *meter) bool {
	return m.judged() && m.over(verdictSpan) < e.cfg.PublicFloor
}

// HandleProgress takes what was written to a connection since the last time,
// and how long something waited for it. "Checked after every unit of outgoing
// transfer against the fourth value returned by "who" query for each peer."
// XEP-0037, Stream Creation. That value is the one over 2^4 s.
func (e *Engine) HandleProgress(now time.Time, id ConnID, bytes int64, busy time.Duration) {
	c := e.conns[id]
	if c == nil || c.state != flowing {
		return
	}
	p := c.peer
	p.meter.add(bytes, busy)
	slow := p.meter.judged() && p.meter.over(verdictSpan) < p.stream.min
	switch {
	case p.public && e.tooSlow(p.meter):
		e.dropStranger(now, p)
	case slow || p.meter.stuck >= e.cfg.Stall:
		// "peers will be disconnected (but not dropped)"
		e.stats.TooSlow++
		e.cutOff(c, "it takes too little")
		e.becomeWaiting(now, p)
	}
}

// cutOff closes a peer's connection, and says why in the log.
func (e *Engine) cutOff(c *connState, why string) {
	e.forgetConn(c)
	e.do(Action{Do: Abort, Conn: c.id, Why: why})
}

// dropStranger drops one who would only come back and hold up others again, with
// the words of a drop by a master.
func (e *Engine) dropStranger(now time.Time, p *peerState) {
	e.stats.TooSlow++
	e.cutOff(p.conn, "it has joined unasked, and takes too little")
	p.conn = nil
	why := stanza.New(NS, "comment", stanza.Text("you take less than "+e.cfg.PublicFloor.String()+" in a second, which holds up others"))
	e.drop(now, p, []*stanza.Element{why}, false)
}
