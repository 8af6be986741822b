package rmulticast

import "time"

// whoisDue asks for a name, or tells it to who asked.
func (e *Engine) whoisDue(now time.Time, s *sender) {
	if s.named {
		e.emit(&Packet{Type: WhoisReply, Sender: s.id, Name: s.name})
		return
	}
	e.emit(&Packet{Type: WhoisRequest, Sender: e.self, Target: s.id})
	e.arm(&s.whois, now, whoisAgain)
}

// hearWhoisRequest answers for everybody whose name we know, also for those who
// are gone: so that their ids are not taken too soon.
func (e *Engine) hearWhoisRequest(now time.Time, p *Packet) bool {
	s := e.anySender(p.Target)
	switch {
	case s == nil:
		return false
	case !s.named: // somebody has asked for us
		if s.state != buried {
			e.arm(&s.whois, now, whoisAgain)
		}
	case !s.whois.isSet() && len(s.name) <= MaxName:
		e.arm(&s.whois, now, whoisAnswer)
	}
	return true
}

func (e *Engine) hearWhoisReply(now time.Time, p *Packet) bool {
	s := e.anySender(p.Sender)
	if s == nil {
		return false
	}
	e.timers.stop(&s.whois) // known, or told by somebody else
	if !s.named && s.state != buried {
		s.named, s.name = true, p.Name
		e.timers.stop(&s.unseen)
		e.timers.set(&s.idle, now.Add(progressLimit))
	}
	return true
}
