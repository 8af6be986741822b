package rooms

import (
	"maps"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// people are who is on either side.
type people struct {
	members map[string]bool // of the Clique room, without us

	occupants map[string]bool   // of the MUC, by nick, without us
	more      int               // of them, unnamed
	known     bool              // occupants are those of now
	told      map[string]bool   // those of whom the LAN knows; nil: it knows nothing yet
	renamed   map[string]string // new nicks, and what they were when the LAN was told

	shown []string // occupants as the LAN sees them; nil: not known

	subject      string
	subjectKnown bool
	status       string // of ours in the MUC
}

func newPeople() people {
	return people{members: make(map[string]bool), occupants: make(map[string]bool), renamed: make(map[string]string)}
}

// enter notes who is in the MUC.
func (p *people) enter(list []xmppc2s.Occupant, more, limit int) {
	p.occupants, p.renamed, p.more, p.known, p.shown = make(map[string]bool), make(map[string]string), more, true, nil
	for _, o := range list {
		p.come(o.Nick, limit)
	}
}

func (p *people) come(nick string, limit int) {
	switch {
	case p.occupants[nick]:
		return
	case len(p.occupants) >= limit:
		p.more++
		return
	}
	p.occupants[nick] = true
	p.shown = nil
}

func (p *people) leave(nick string) {
	if !p.occupants[nick] {
		p.more = max(0, p.more-1)
	}
	delete(p.occupants, nick)
	delete(p.renamed, nick)
	p.shown = nil
}

// occupant notes that somebody in the MUC has come, gone, or is called otherwise.
func (e *engine) occupant(ev xmppc2s.RoomOccupant) {
	p := &e.people
	switch {
	case ev.Own:
		if ev.NewNick != "" {
			e.net.nick = ev.NewNick
		}
	case ev.NewNick != "":
		was, ok := p.renamed[ev.Nick]
		if !ok {
			was = ev.Nick
		}
		p.leave(ev.Nick)
		p.come(ev.NewNick, e.cfg.Limits.Occupants)
		if p.told[was] && was != ev.NewNick && p.occupants[ev.NewNick] {
			p.renamed[ev.NewNick] = was
		}
	case ev.Here:
		p.come(ev.Nick, e.cfg.Limits.Occupants)
	default:
		p.leave(ev.Nick)
	}
}

// tellNone has the LAN know who is there, without a word.
func (p *people) tellNone() {
	if p.known {
		p.told, p.renamed = maps.Clone(p.occupants), make(map[string]string)
	}
}

// changes are what has changed since the LAN was told, in words; it counts as told.
func (e *engine) changes() string {
	p := &e.people
	var came, went, now []string
	for nick := range p.occupants {
		was, ok := p.renamed[nick]
		switch {
		case ok && p.told[was] && !p.occupants[was]:
			now = append(now, e.nickOf(was)+" is now "+e.nickOf(nick))
			delete(p.told, was)
		case !p.told[nick]:
			came = append(came, e.nickOf(nick))
		}
	}
	for nick := range p.told {
		if !p.occupants[nick] {
			went = append(went, e.nickOf(nick))
		}
	}
	p.tellNone()
	slices.Sort(came)
	slices.Sort(went)
	slices.Sort(now)
	var parts []string
	if len(came) > 0 {
		parts = append(parts, joinNames(came)+" came")
	}
	if len(went) > 0 {
		parts = append(parts, joinNames(went)+" left")
	}
	if len(now) > 0 {
		parts = append(parts, rewrite.Clip(strings.Join(now, ", "), maxNames))
	}
	return strings.Join(parts, ", ")
}

// occupants are those of the MUC as the LAN sees them, sorted. The list is not
// changed any more.
func (e *engine) occupants() []string {
	p := &e.people
	if p.shown == nil {
		p.shown = make([]string, 0, len(p.occupants))
		for nick := range p.occupants {
			p.shown = append(p.shown, e.nickOf(nick))
		}
		slices.Sort(p.shown)
	}
	return p.shown
}

// memberNames are the members of the Clique room, without gateways.
func (e *engine) memberNames() []string {
	var names []string
	for name := range e.people.members {
		if e.gates.others[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// shownMembers are those of them who may be heard in the MUC, as it sees them.
func (e *engine) shownMembers() (names []string) {
	for _, name := range e.memberNames() {
		if peer := linklocal.Instance(name); e.may.Admit(peer) {
			names = append(names, rewrite.DisplayName(peer))
		}
	}
	return names
}

// showMembers has our presence in the MUC say who is on the LAN.
func (e *engine) showMembers() {
	if !e.net.inside {
		e.people.status = ""
		return
	}
	status := "standing by"
	switch {
	case e.gates.duty == carrying, e.gates.duty == doubting, e.isDeserted():
		status = "LAN: " + joinNames(e.shownMembers())
	case e.gates.duty == standing:
	default:
		return // it will be known soon
	}
	if status != e.people.status {
		e.people.status = status
		e.emit(setStatus{status})
	}
}

// isDeserted reports whether all members were lost at once, no other gateway among
// them: what is said waits for them, but the MUC is told that nobody is there.
func (e *engine) isDeserted() bool {
	return e.lan.cut && e.net.ready() && e.isAlone() && e.gates.company.IsZero()
}

// info is how things stand, for people.
func (e *engine) info(now time.Time) Info {
	i := Info{
		Name: e.room.Name, MUC: e.room.MUC, Group: e.lan.group,
		Members: e.memberNames(), Occupants: e.occupants(), Refused: e.net.refused,
		Password: e.room.Password, MembersOnly: e.net.membersOnly, More: e.people.more,
	}
	switch {
	case !e.lan.entered:
		i.State = "looking for the Clique room"
	case !e.net.online:
		i.State = "no connection to the server"
	case !e.net.inside:
		i.State = "not in the MUC"
	case !e.net.caught:
		i.State = "asking what was said meanwhile"
	default:
		i.State = e.gates.duty.String()
	}
	if e.gates.duty == standing {
		i.Carrier = e.rival(now)
	}
	return i
}
