package streams

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/alarm"
	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

const (
	// linger is how long a session is kept that no stream uses: the last word to
	// somebody goes out by it, and the next stream may want it.
	linger = 30 * time.Second
	// loginPatience is how long a login may take.
	loginPatience = 30 * time.Second
	// A session that was cut is tried again after firstPause, then ever later; the
	// address is given up when it was not there for lostAfter.
	firstPause = time.Second
	lastPause  = 30 * time.Second
	lostAfter  = 10 * time.Minute
)

var (
	errOther = errors.New("streams: the server gives another address")
	errEnded = errors.New("streams: the session has ended")
)

// A Session is one more session of the gateway's account; xmppc2s.Errand is one.
// Nobody sees it, and it is sent nothing but iqs to its own address.
type Session interface {
	Address() string
	Send(iq *stanza.Element) error // may wait
	Run(handle func(iq *stanza.Element) bool) error
	Close() // and wait for Run
}

// A session is a further address of the account's as long as it is wanted. It
// has a goroutine of its own, run.
type session struct {
	account  *account
	login    loginFunc
	resource string
	addr     dsps.JID // under the account's lock; "" until the first login
	out      *mailbox.Mailbox[*stanza.Element]
	poke     chan struct{} // holds one: how it is used has changed
	gone     chan struct{} // closed when run ends
}

// wake has run look how the session is used.
func (x *session) wake() {
	select {
	case x.poke <- struct{}{}:
	default:
	}
}

// run has the session logged in until it is not used any more, or cannot be had.
func (x *session) run(ctx context.Context) {
	defer close(x.gone)
	err := x.keep(ctx)
	x.leave(err)
	for _, iq := range x.out.Take() {
		x.account.unsent(iq, cmp.Or(err, errNoAddress))
	}
	x.account.changed()
}

// leave takes the session off the account. If it has failed, others are not tried
// for a while.
func (x *session) leave(err error) {
	a := x.account
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := x.listed()
	a.drop(x)
	if err == nil || !wanted {
		return
	}
	a.refused = time.Now().Add(refusedPause)
	if isConflict(err) {
		a.barred = time.Now().Add(conflictPause)
	}
	if a.uses[x.addr] > 0 {
		a.count.Lost++
		a.log.Warn("streams have lost an address: their connections go on, nothing else does", "address", string(x.addr), "err", err)
	} else {
		a.log.Warn("no further session of the account, streams have to do with fewer", "sessions", len(a.list), "err", err)
	}
}

// isConflict reports whether the server has thrown a session out for another: by
// coming back it would throw out the next.
func isConflict(err error) bool {
	e, ok := errors.AsType[*xmppc2s.Error](err)
	return ok && e.Problem == xmppc2s.Conflict
}

// keep is run without its end. It returns nil if the session is not wanted.
func (x *session) keep(ctx context.Context) error {
	wait, since := firstPause, time.Now()
	for {
		began := time.Now()
		was, err := x.once(ctx)
		if was {
			since = time.Now()
		}
		if was && since.Sub(began) > lastPause {
			wait = firstPause
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case x.addr == "" || xmppc2s.Fatal(err) || time.Since(since) > lostAfter:
			return err
		}
		x.account.log.Info("a further session was cut", "address", string(x.addr), "err", err, "retry", wait)
		if !x.pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, lastPause)
	}
}

// pause waits, and reports whether the session is still used.
func (x *session) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for used, wanted := x.used(); used && wanted; used, wanted = x.used() {
		select {
		case <-t.C:
			return true
		case <-x.poke:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// once logs in and carries stanzas. It reports whether the address was there, and
// returns nil if the session is not wanted any more.
func (x *session) once(ctx context.Context) (was bool, err error) {
	x.account.trying()
	within, cancel := context.WithTimeout(ctx, loginPatience)
	link, err := x.login(within, x.resource)
	cancel()
	if err != nil {
		return false, err
	}
	at, ended := dsps.JID(link.Address()), make(chan error, 1)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer link.Close()
	reader.Go(func() {
		ended <- cmp.Or(link.Run(func(iq *stanza.Element) bool { return x.account.handle(at, iq) }), errEnded)
	})
	if !x.admit(at) {
		return false, errOther
	}
	return true, x.carry(ctx, link, ended)
}

// admit takes the address that the server has given.
func (x *session) admit(at dsps.JID) bool {
	a := x.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if !x.listed() || at == a.self || x.addr != at && (x.addr != "" || a.at(at) != nil) {
		return false
	}
	x.addr = at
	a.count.Made++
	a.changed()
	return true
}

// carry sends what is to be sent until the session ends, or is of no use any more.
func (x *session) carry(ctx context.Context, link Session, ended <-chan error) error {
	var idle alarm.Alarm
	defer idle.Stop()
	until := time.Time{}
	for {
		switch used, wanted := x.used(); {
		case !wanted:
			return nil
		case used:
			until = time.Time{}
		case until.IsZero():
			until = time.Now().Add(linger)
		}
		idle.Set(until)
		select {
		case <-x.out.C():
			if err := x.send(link); err != nil {
				return err
			}
		case <-x.poke:
		case <-idle.C():
			if x.retire() {
				return nil
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// send sends what waits. What cannot be sent its sender is told.
func (x *session) send(link Session) (broken error) {
	for _, iq := range x.out.Take() {
		err := broken
		if err == nil {
			err = link.Send(iq)
		}
		if err != nil {
			broken = err
			x.account.unsent(iq, err)
		}
	}
	return broken
}

// used reports whether streams use the session, and whether the account wants it
// at all.
func (x *session) used() (used, wanted bool) {
	a := x.account
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.uses[x.addr] > 0, x.listed()
}

// listed is asked under the lock.
func (x *session) listed() bool { return slices.Contains(x.account.list, x) }

// retire ends the session, if nobody has begun to use it meanwhile.
func (x *session) retire() bool {
	a := x.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.uses[x.addr] > 0 {
		return false
	}
	a.drop(x)
	return true
}
