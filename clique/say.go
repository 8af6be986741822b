package clique

import (
	"errors"
	"time"

	"meshgate/clique/rmulticast"
)

// handIn gives the engine what is to be sent.
func (l *roomLoop) handIn(now time.Time) {
	for _, o := range l.r.sends.Take() {
		l.give(now, o)
	}
}

func (l *roomLoop) give(now time.Time, o *outgoing) {
	err := ErrNotYet
	if l.engine != nil {
		err = l.engine.Send(now, o.stream, o.data)
	}
	switch {
	case err == nil:
		l.sends = append(l.sends, o)
		return
	case errors.Is(err, rmulticast.ErrFull):
		err = ErrQueueFull
	case errors.Is(err, rmulticast.ErrState):
		err = ErrNotYet
	}
	l.s.count.sendsFailed.Add(1)
	l.r.finish(o, err)
}

// handOut tells of what is handed out: so many messages of the engine's.
func (l *roomLoop) handOut(sent uint64) {
	for ; l.sent < sent && len(l.sends) > 0; l.sent++ {
		o := l.sends[0]
		l.sends = l.sends[1:]
		if o.stream == 0 {
			l.s.count.messagesOut.Add(1)
		} else {
			l.s.count.dataOut.Add(1)
		}
		l.r.finish(o, nil)
	}
}

func (l *roomLoop) failSends(err error) {
	for _, o := range l.sends {
		l.s.count.sendsFailed.Add(1)
		l.r.finish(o, err)
	}
	l.sends, l.sent = nil, 0
}

// tellTubes says which tubes we have, if others do not know: always, if somebody is
// new.
func (l *roomLoop) tellTubes(now time.Time, always bool) {
	tubes, told := l.r.ownTubes()
	if l.at != inside || len(l.members) == 0 || told && !(always && len(tubes) > 0) {
		return
	}
	l.r.tellTubes(tubes)
	doc := appendDocument(nil, l.name, l.r.address(), tubeList(tubes))
	o := &outgoing{data: doc, done: func(error) {}}
	l.r.waiting.Add(1)
	l.r.bytes.Add(int64(len(doc)))
	l.give(now, o)
}
