package xmppc2s

import (
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// presenceHeld is how long our presence stays as it was after a session was
// resumed by another process than the one that began it: those who say what
// we show have only begun to find out.
const presenceHeld = 15 * time.Second

// restore begins with what the process before this one has left.
func (l *loop) restore(now time.Time) {
	l.lostAt = now
	if l.cfg.Journal == nil {
		return
	}
	k, err := readJournal(l.cfg.Journal, l.box)
	if err != nil {
		l.c.log.Error("what is left of the last session is not complete: it is not resumed", "err", err)
	}
	if !l.ours(k.Session.JID) {
		k.Session = sm.Session{} // and never again: the queue goes on without it
		l.keeper.want(now, true, sessionChange(k.Session))
	}
	if err := l.engine.Restore(k.Snapshot); err != nil {
		panic(err.Error()) // the rows are in order and stanzas, and the engine is new
	}
	l.calmAt = now.Add(l.engine.Behind())
	l.keeper.begin(k.Snapshot)
	if k.archive != nil {
		l.keeper.archive = *k.archive
		l.teller.archive.restore(*k.archive) // the teller has no session yet
	}
	l.records(now)
	if k.own != nil && k.own.Caps == l.cfg.capsHash() {
		p := k.own.presence()
		l.own.sent = p
		if p.photo.known {
			l.c.changeOwn(func(own *ownPresence) {
				if !own.photo.known {
					own.photo = p.photo
				}
			})
		}
	}
	if n, _ := l.box.Len(); n > 0 || len(k.Queue) > 0 || k.Session.ID != "" {
		l.c.log.Info("taking up what the last run has left", "waiting", n+len(k.Queue), "sent", len(k.Queue), "session", k.Session.ID != "")
	}
}

// ours reports whether a session of this address is what the configuration
// asks for.
func (l *loop) ours(full string) bool {
	j, err := jid.Parse(full)
	return err == nil && j.Bare().Equal(l.cfg.JID.Bare()) &&
		(l.cfg.JID.Resourcepart() == "" || j.Resourcepart() == l.cfg.JID.Resourcepart())
}

// revive makes a session of another process ours. The server says nothing
// again in it: so the roster is asked for, and behind that for the presence of
// those in it. None of the contacts sees that.
func (l *loop) revive(now time.Time, full string) {
	j, err := jid.Parse(full)
	if err != nil {
		panic("xmppc2s: a kept address does not parse: " + full) // ours has seen to it
	}
	l.full = j
	l.book = newContactBook(j, l.cfg.Contacts, l.cfg.MaxResources)
	l.book.probing = true
	l.bound = false
	l.c.queueOwn(rosterRequest())
	l.own.at = now.Add(presenceHeld)
}

// records takes what has changed in the engine and in the box to the journal,
// and says what is sure by now.
func (l *loop) records(now time.Time) {
	l.recordBuf = l.engine.AppendRecords(l.recordBuf[:0])
	l.keeper.add(now, l.recordBuf)
	clear(l.recordBuf)
	l.tellSure()
	var wait time.Duration
	if l.online {
		wait = keepSoon
	}
	l.keeper.expectBox(now, wait)
	l.keeper.flush(now)
}

// keptRecords takes the outcome of a write to the journal.
func (l *loop) keptRecords(now time.Time, err error) {
	before := l.keeper.err
	l.keeper.wrote(now, err)
	l.c.full.Store(err != nil)
	l.c.log.Debug("kept", "waiting", l.keeper.durableRows, "err", err)
	switch {
	case err != nil:
		l.c.counts.unkept.Add(1)
		l.c.log.Error("the disk does not take what waits: nothing is sent or accepted until it does", "err", err)
	case before != nil:
		l.c.log.Info("the disk takes what waits again")
	}
}

// catchUp keeps how far we have come in the archive. What the teller says
// before it knows of a new session does not close what that has opened.
func (l *loop) catchUp(now time.Time, row archiveRow) {
	row.Open = row.Open || l.opened
	l.keeper.catchUp(now, row)
}

// settleJournal waits until everything is durable, or time is up. It reports
// whether everything is.
func (l *loop) settleJournal(limit <-chan time.Time) bool {
	for {
		now := time.Now()
		l.records(now)
		mark := l.keeper.mark()
		l.keeper.flush(now)
		if l.keeper.isDurable(mark) || l.keeper.writing == nil {
			return l.keeper.isDurable(mark) // or the disk does not take it
		}
		select {
		case err := <-l.keeper.results:
			l.keptRecords(time.Now(), err)
		case <-limit:
			return false
		}
	}
}

// sentOwn notes that our presence is queued.
func (l *loop) sentOwn(now time.Time, p *ownPresence) {
	l.own.note(now, p)
	if l.cfg.Journal != nil {
		l.keeper.want(now, false, ownChange(p, l.cfg.capsHash()))
	}
}

// probe asks for the presence of a contact. Its server answers; nobody sees it.
//
// "the user's server … sends a presence probe" RFC 6121 §4.3: a client has no
// need to, unless its presence is known already and that of others is not.
func probe(bare string) *stanza.Element { return presenceTo(bare, "probe") }
