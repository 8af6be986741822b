package xmppc2s

import (
	"context"
	"errors"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/internal/xmlframe"
	"meshgate/xmppc2s/sm"
)

// An attempt is to be made as soon as the journal knows what it will tell the
// server.
type attempt struct {
	ask  *sm.Resumption // nil: there is no session to resume
	mark uint64         // of keeper
}

// dial starts an attempt in a goroutine of its own.
func (l *loop) dial(ctx context.Context, now time.Time) {
	if l.attempt == nil {
		l.attempt = new(attempt)
		if r, ok := l.engine.Resumption(); ok {
			r.NotBefore = l.calmAt
			l.attempt.ask = &r
		}
		l.records(now)
		l.attempt.mark = l.keeper.mark()
		l.keeper.flush(now)
	}
	if !l.keeper.isDurable(l.attempt.mark) {
		return
	}
	l.dialing, l.triedAt, l.again, l.hungUp = true, now, false, false
	ctx, l.hangUp = context.WithCancel(ctx)
	ask, hint, sent := l.attempt.ask, l.engine.Location(), l.sent
	l.attempt, l.sent = nil, nil
	l.wg.Go(func() { l.verdicts <- l.connector.connect(ctx, ask, hint, sent) })
}

// connected takes the outcome of an attempt.
func (l *loop) connected(now time.Time, v verdict) {
	l.dialing = false
	l.hangUp()
	if v.refused {
		l.engine.Refused(v.failedH)
	}
	if v.err != nil {
		l.failed(now, v.err)
		return
	}
	l.c.counts.connects.Add(1)
	if v.link.tls.DidResume {
		l.c.counts.tlsResumed.Add(1)
	}
	if !v.link.resumed {
		l.bind(now, v.link)
	} else if err := l.resume(now, v); err != nil {
		l.abandon(v.link, err)
		l.retry(now, &Error{Text: "the session could not be resumed", Err: err})
		return
	}
	l.tr, l.buf = newTransport(v.link, l.cfg), nil
	l.atUp, l.messagesUp, l.rotating = l.engine.Stats(), l.messages(), false
	l.announce()
}

// failed notes that an attempt came to nothing.
func (l *loop) failed(now time.Time, err error) {
	l.c.counts.failures.Add(1)
	if l.hungUp {
		err = errMoved
	}
	l.retry(now, err)
	if l.again {
		l.hasten(now)
	}
}

func (l *loop) resume(now time.Time, v verdict) error {
	l.resumed = true
	if l.book == nil {
		l.revive(now, v.link.jid)
	}
	return l.engine.Resumed(now, *v.asked, v.link.h, l.cfg.limits(v.link))
}

// abandon closes a connection whose session cannot be used.
func (l *loop) abandon(k *link, err error) {
	if high, ok := sm.IsTooHigh(err); ok {
		_ = k.conn.SetWriteDeadline(time.Now().Add(lastWords))
		_, _ = k.conn.Write(append(l.engine.AppendTooHigh(nil, high.H), "</stream:stream>"...)) // it is over either way
	}
	k.raw.Close()
}

// bind begins a new session: everything known of the old one is gone.
func (l *loop) bind(now time.Time, k *link) {
	l.resumed = false
	full, err := jid.Parse(k.jid)
	if err != nil {
		panic("xmppc2s: a bound address does not parse: " + k.jid) // it did when it came
	}
	own := l.c.own.Load()
	l.sentOwn(now, own)
	l.expire(now)
	b := l.binding(k)
	b.First = [][]byte{rosterRequest(), own.bytes(l.cfg)}
	if !l.gate.open(now) {
		b.Dialect = sm.None
	}
	l.sortOut(now, l.engine.Bound(now, b))
	l.stopOuter()
	l.full = full
	l.book = newContactBook(full, l.cfg.Contacts, l.cfg.MaxResources)
	l.bound, l.opened = true, true
	if l.keeper.archive.Of != "" { // before the session can be resumed by another process, which shall know
		l.catchUp(now, l.keeper.archive)
	}
}

// binding is what the engine has to know of a session on a link.
func (l *loop) binding(k *link) sm.Binding {
	return sm.Binding{Dialect: k.dialect, JID: k.jid, Limits: l.cfg.limits(k), Stanzas: k.stanzas, Max: k.max}
}

// announce says Online as soon as stream management is settled: before that,
// nothing protects what is sent.
func (l *loop) announce() {
	if l.online || l.tr == nil || l.engine.State() == sm.Enabling {
		return
	}
	l.online = true
	l.c.counts.online.Store(true)
	l.c.log.Info("online", "jid", l.full, "resumed", l.resumed, "sm", l.engine.State(), "addr", l.tr.link.addr)
	l.tell(Online{JID: l.full, Resumed: l.resumed})
}

// arrived takes what one read brought.
func (l *loop) arrived(now time.Time, a arrival) {
	for _, f := range a.frames {
		if err := l.frame(now, f); err != nil {
			l.ended(now, err)
			return
		}
	}
	l.announce()
	if a.err != nil {
		l.ended(now, a.err)
	}
}

var errStreamClosed = errors.New("the server has closed the stream")

func (l *loop) frame(now time.Time, f xmlframe.Frame) error {
	switch f.Kind {
	case xmlframe.Close:
		return errStreamClosed
	case xmlframe.Skipped:
		l.c.counts.oversized.Add(1)
		l.c.log.Warn("stanza left out: too large", "limit", l.cfg.MaxStanza)
		l.engine.HandleSkipped(now, f.Bytes)
		return nil
	}
	if sm.KindOf(f.Bytes) == sm.Nonza {
		el, err := stanza.Parse(f.Bytes, stanza.NSClient, l.cfg.Limits)
		if err == nil && el.Is(stanza.NSStream, "error") {
			return parseStreamError(el, l.cfg)
		}
	}
	return l.engine.HandleFrame(now, f.Bytes)
}

// ended classifies what ended a connection.
func (l *loop) ended(now time.Time, err error) {
	how := sm.Broken
	e, isOurs := errors.AsType[*Error](err)
	switch {
	case isOurs:
		how = l.obey(e)
	case errors.Is(err, errStreamClosed):
		how = sm.Ended
		err = &Error{Problem: StreamEnded, Text: err.Error()}
	default:
		if _, high := sm.IsTooHigh(err); high {
			l.abandon(l.tr.link, err)
		}
		err = explain(err, l.cfg, l.tr.link.addr)
	}
	l.lost(now, err, how)
}

// obey does what a stream error asks for, and says how it ends the connection.
func (l *loop) obey(e *Error) sm.Loss {
	if e.rule == nil {
		return sm.Ended
	}
	if e.rule.forget {
		l.engine.Forget()
	}
	if e.rule.reset {
		l.connector.forgetTLS() // nobody connects now
	}
	if e.elsewhere != "" {
		l.sent = &redirection{l.tr.link.place, e}
	}
	return e.rule.loss
}

// lost notes the end of the connection. The session waits to be resumed.
func (l *loop) lost(now time.Time, err error, how sm.Loss) {
	l.tr.close()
	l.pacer.ended(now.Sub(l.tr.since), l.worthwhile(now, how))
	if l.messages() > l.messagesUp {
		l.pacer.eased()
	}
	l.stem(now, err)
	if how == sm.Broken { // else the server has fallen silent, or has ended it
		l.calmAt = now.Add(l.engine.Behind())
	}
	l.engine.Lost(how)
	l.tr, l.online, l.lostAt = nil, false, now
	l.c.counts.online.Store(false)
	l.retry(now, err)
}

// messages is how many there have been, either way.
func (l *loop) messages() uint64 { return l.c.counts.messagesIn.Load() + l.acked }

// worthwhile reports whether the connection did some good, so that its end is
// no reason to hold back.
func (l *loop) worthwhile(now time.Time, how sm.Loss) bool {
	if now.Sub(l.tr.since) >= goodUptime {
		return true
	}
	s := l.engine.Stats()
	progress := s.Acked > l.atUp.Acked || s.Received-s.Skipped > l.atUp.Received-l.atUp.Skipped
	return how == sm.Broken && l.resumed && progress // a fresh session always brings the roster
}

// retry plans the next attempt and says so.
func (l *loop) retry(now time.Time, err error) {
	wait := l.pacer.next(paceOf(err))
	l.retryAt, l.offErr = now.Add(wait), err
	l.c.log.Warn("offline", "err", err, "retry", wait)
	l.tell(Offline{Err: err, Fatal: Fatal(err), Retry: wait})
}

// rotate closes a stream in order to begin a new session, at a moment when
// nothing is outstanding.
func (l *loop) rotate(now time.Time) {
	l.rotating = true
	l.buf = append(l.engine.AppendFarewell(l.buf[:0]), "</stream:stream>"...)
	l.engine.Rotate()
	l.tr.send(l.buf)
}

// startOuter makes an outer session for the session that is bound, once the
// one before has ended.
func (l *loop) startOuter() {
	if l.outer != nil || l.book == nil {
		return
	}
	l.outer = newOuter(l.c, l.full, l.book, l.teller)
	l.outer.bound, l.opened = l.bound, false
	l.outer.doubt = l.engine.State() == sm.Plain || l.gate.shut > 0
	l.teller.sessions <- l.outer // there is room: the one before is done
}

func (l *loop) stopOuter() {
	if l.outer != nil && !l.outer.ending {
		l.outer.ending = true
		close(l.outer.stop)
	}
}

func (l *loop) outerDone() <-chan struct{} {
	if l.outer == nil {
		return nil
	}
	return l.outer.done
}
