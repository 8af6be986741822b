package clique

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
)

// flush carries out the engine's output, until there is no more.
func (l *roomLoop) flush() {
	for l.engine != nil {
		out, turn := l.engine.TakeOutput(), false
		for _, ev := range out.Events {
			turn = l.tell(ev) || turn
		}
		if l.radio == nil { // the last event was the end
			return
		}
		now := time.Now()
		l.changed = l.changed || out.Changed
		l.keep(now)
		l.post(now, out.Datagrams)
		if turn {
			l.check(time.Now())
		} else if len(out.Datagrams) == 0 {
			return
		}
	}
}

// tell tells the handler what the engine tells us. It reports whether things
// stand otherwise now.
func (l *roomLoop) tell(ev rmulticast.Event) bool {
	name, news := l.r.Name, l.r.news
	switch ev := ev.(type) {
	case rmulticast.Connected:
		l.at = inside
		l.log.Info("in the room", "group", l.group, "resumed", ev.Resumed)
		news.put(Entered{Room: name, Group: l.group, Resumed: ev.Resumed})
	case rmulticast.Joined:
		l.join(ev.Members)
	case rmulticast.Left:
		if m := l.members[ev.ID]; m != nil {
			delete(l.members, ev.ID)
			news.put(Left{Room: name, Member: m.name, Why: ev.Why})
		}
	case rmulticast.Message:
		l.hear(&ev)
		return false
	case rmulticast.Sent:
		l.said(&ev)
		return false
	case rmulticast.Frozen:
		l.frozen = ev.Frozen
		news.put(Frozen{name, ev.Frozen})
	case rmulticast.Restarted:
		clear(l.members)
		l.at = entering
		news.put(Restarted{name})
	case rmulticast.Closed:
		l.closed()
	}
	return true
}

func (l *roomLoop) join(members []rmulticast.Member) {
	var names []string
	for _, m := range members {
		l.members[m.ID] = &member{name: cleanName(m.Name)}
		if m.Name == l.name {
			l.log.Warn("another member has our name: both will be driven out again and again", "name", m.Name)
		}
		names = append(names, l.members[m.ID].name)
	}
	l.r.news.put(Joined{Room: l.r.Name, Members: names})
	l.tellTubes(time.Now(), true)
}

// closed ends the room, or goes on in another.
func (l *roomLoop) closed() {
	to := l.moveTo
	l.over = !to.IsValid()
	l.drop()
	if l.over {
		return
	}
	l.moveTo, l.at, l.lost = netip.AddrPort{}, looking, false
	l.r.news.put(Restarted{l.r.Name})
	name, _ := l.s.theirs(l.r.Name)
	l.r.addressed(name)
	l.enter(to)
}

// hear takes a message.
func (l *roomLoop) hear(m *rmulticast.Message) {
	from := l.members[m.From.ID]
	if from == nil {
		return // cannot be: the engine tells of members only
	}
	if m.Stream != 0 {
		l.hearData(from, m)
		return
	}
	err := errDocument
	var got Received
	if len(m.Data) <= l.s.cfg.MaxStanza {
		got = Received{Room: l.r.Name, From: from.name, FromID: m.From.ID, Number: m.Number, size: len(m.Data)}
		got.Stanza, err = parseDocument(m.Data, l.r.address())
	}
	switch count := &l.s.count; {
	case err == nil:
	case errors.Is(err, errTyping):
		count.typing.Add(1)
		return
	case errors.Is(err, errAddress): // two rooms may share a group by chance
		count.misaddressed.Add(1)
		return
	default:
		count.badDocuments.Add(1)
		l.complainOf(from, err)
		return
	}
	if l.hearTubes(from, &got) {
		return
	}
	l.s.count.messagesIn.Add(1)
	l.r.news.put(got)
}

// hearTubes takes the list of tubes in a message. It reports whether there was
// nothing else in it.
func (l *roomLoop) hearTubes(from *member, got *Received) bool {
	tubes, ok := parseTubes(got.Stanza)
	if !ok {
		return false
	}
	if !slices.EqualFunc(tubes, from.tubes, Tube.equal) {
		from.tubes = tubes
		l.r.news.put(Tubes{Room: l.r.Name, From: from.name, FromID: got.FromID, Tubes: tubes})
	}
	return onlyTubes(got.Stanza)
}

// hearData takes what came on another stream. "Unknown streams MUST be ignored
// silently": those that their sender has not announced.
func (l *roomLoop) hearData(from *member, m *rmulticast.Message) {
	if !slices.ContainsFunc(from.tubes, func(t Tube) bool { return t.Stream == m.Stream }) {
		l.s.count.unknownStreams.Add(1)
		return
	}
	l.s.count.dataIn.Add(1)
	l.r.news.put(Data{Room: l.r.Name, From: from.name, FromID: m.From.ID, Stream: m.Stream, Data: m.Data})
}

// said tells what we said before the restart.
func (l *roomLoop) said(m *rmulticast.Sent) {
	if m.Stream != 0 {
		return
	}
	if st, err := parseDocument(m.Data, l.r.address()); err == nil && !onlyTubes(st) {
		l.r.news.put(Said{Room: l.r.Name, Number: m.Number, Stanza: st, size: len(m.Data)})
	}
}

// complainOf names who says what nobody can read, now and then.
func (l *roomLoop) complainOf(m *member, err error) {
	if now := time.Now(); now.Sub(l.complained) >= complains {
		l.complained = now
		l.log.Warn("a member says what cannot be read", "member", m.name, "err", err, "in_all", l.s.count.badDocuments.Load())
	}
}

// complainOfFlood names who sends more than is heard.
func (l *roomLoop) complainOfFlood(f flood) {
	name := "unknown"
	if p, err := rmulticast.ParsePacket(f.packet); err == nil && l.members[p.Sender] != nil {
		name = l.members[p.Sender].name
	}
	l.log.Warn("too many packets, some are not heard", "address", f.from, "member", name, "lost", f.lost)
}

// cleanName is a member's name as it may be shown: it says what it likes.
func cleanName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, stanza.Clean(name))
}
