package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
)

const (
	// refusedPause is for how long no further session is tried after one was
	// refused, and conflictPause after the server has thrown one out for another.
	refusedPause  = 10 * time.Second
	conflictPause = 24 * time.Hour
	// suspicion is how long after a login a conflict is taken for its effect.
	suspicion = 30 * time.Second
	// maxUnsent is how many stanzas wait for one session.
	maxUnsent = 256
)

var (
	errNoAddress = errors.New("streams: the gateway does not have that address any more")
	errFull      = errors.New("streams: too much waits for a session")
)

// loginFunc logs in once more, with that resource.
type loginFunc func(ctx context.Context, resource string) (Session, error)

// An account is our addresses on the network: that of the gateway's own session,
// and those of further sessions, which are made when they are wanted and ended when
// no stream uses them. Its methods may be called from any goroutine, and none but
// run waits.
type account struct {
	most    int    // further sessions
	changed func() // is told that addresses are others
	handle  func(at dsps.JID, iq *stanza.Element) bool
	unsent  func(iq *stanza.Element, err error)
	log     *slog.Logger

	mu      sync.Mutex
	wg      sync.WaitGroup
	ctx     context.Context // of run
	login   loginFunc       // nil: it does not run, or nobody can log in
	self    dsps.JID        // of the gateway's own session; "": there was none yet
	list    []*session
	uses    map[dsps.JID]int // how often each address is assigned
	refused time.Time        // until when none is tried for an address more …
	barred  time.Time        // … and none for anything: the server throws others out for it
	tried   time.Time        // when the last login began
	count   SessionStats
}

// SessionStats is how it is with further sessions of the account.
type SessionStats struct {
	Active  int    // sessions
	Made    uint64 // logins for them
	Refused uint64 // times that none was to be had
	Lost    uint64 // addresses that were in use and are none any more
}

func newAccount(most int, log *slog.Logger) *account {
	return &account{most: most, log: log, uses: map[dsps.JID]int{}}
}

// run runs f, and lets further sessions be made meanwhile.
func (a *account) run(ctx context.Context, login loginFunc, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	a.setRun(ctx, login)
	defer a.wg.Wait()
	defer cancel()
	defer a.setRun(ctx, nil)
	return f(ctx)
}

func (a *account) setRun(ctx context.Context, login loginFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ctx, a.login = ctx, login
}

// address is that of the gateway's own session.
func (a *account) address() dsps.JID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.self
}

func (a *account) stats() SessionStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count.Active = len(a.list)
	return a.count
}

// online takes the address of the gateway's own session. If it is another than
// before, and streams use that, a further session tries to have it.
func (a *account) online(self dsps.JID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.self
	if old == self {
		return
	}
	a.self = self
	if x := a.at(self); x != nil { // which the server has taken it from
		a.drop(x)
	}
	if a.uses[old] > 0 {
		kept := a.begin(&session{resource: old.Resource(), addr: old})
		if !kept {
			a.count.Lost++
		}
		a.log.Warn("the gateway has another address, and streams use the old one", "old", string(old), "new", string(self), "kept", kept)
	}
	a.changed()
}

// assign gives the first address that is not taken, or begins a session to have one.
func (a *account) assign(taken func(dsps.JID) bool) (dsps.JID, dsps.Grant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.self == "" {
		return "", dsps.None
	}
	if !taken(a.self) {
		a.uses[a.self]++
		return a.self, dsps.Given
	}
	coming := false
	for _, x := range a.list {
		switch {
		case x.addr == "":
			coming = true
		case !taken(x.addr):
			a.uses[x.addr]++
			x.wake()
			return x.addr, dsps.Given
		}
	}
	if !coming && (time.Now().Before(a.refused) || !a.begin(&session{resource: furtherResource(a.self)})) {
		a.count.Refused++
		return "", dsps.None
	}
	return "", dsps.Later
}

// furtherResource begins like the resource of the gateway's own session.
func furtherResource(self dsps.JID) string {
	return self.Resource() + "-" + strings.ToLower(rand.Text())
}

// begin has one session more, under the lock, if there may be one more.
func (a *account) begin(x *session) bool {
	if a.login == nil || len(a.list) >= a.most || time.Now().Before(a.barred) {
		return false
	}
	x.account, x.login = a, a.login
	x.out, x.poke, x.gone = mailbox.New[*stanza.Element](maxUnsent), make(chan struct{}, 1), make(chan struct{})
	a.list = append(a.list, x)
	ctx := a.ctx
	a.wg.Go(func() { x.run(ctx) })
	return true
}

// offline takes why the gateway's own session has ended. If the server has thrown it
// out for one of ours, these end: it is worth more than all of them. over is
// called when they are gone.
//
// COMPAT ejabberd: with more sessions of one account than max_user_sessions it ends
// the oldest one.
func (a *account) offline(err error, over func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !isConflict(err) || a.login == nil || time.Since(a.tried) > suspicion {
		return
	}
	a.log.Error("the server does not allow the account so many sessions: streams have to do without further ones", "for", conflictPause, "mend", "let it have more there, or lower streams.sessions")
	a.barred = time.Now().Add(conflictPause)
	a.tried = time.Time{} // the next conflict is none of ours
	all := slices.Clone(a.list)
	for _, x := range all {
		if a.uses[x.addr] > 0 {
			a.count.Lost++
		}
		a.drop(x)
	}
	a.wg.Go(func() {
		for _, x := range all {
			<-x.gone
		}
		over()
	})
}

// drop forgets a session, under the lock: nobody gives it anything any more.
func (a *account) drop(x *session) {
	a.list = slices.DeleteFunc(a.list, func(y *session) bool { return x == y })
	x.wake()
}

// trying notes that a login begins.
func (a *account) trying() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried = time.Now()
}

// release says that one use of an address has ended.
func (a *account) release(addr dsps.JID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.uses[addr]--; a.uses[addr] <= 0 {
		delete(a.uses, addr)
	}
	if x := a.at(addr); x != nil {
		x.wake()
	}
}

// at is the further session with that address, or nil.
func (a *account) at(addr dsps.JID) *session {
	if i := slices.IndexFunc(a.list, func(x *session) bool { return x.addr == addr }); i >= 0 {
		return a.list[i]
	}
	return nil
}

// has reports whether somebody can reach us at addr, sooner or later.
func (a *account) has(addr dsps.JID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return addr == a.self || a.at(addr) != nil
}

// send gives a stanza to the session whose address is its from. That of the
// gateway's own session is sent by own.
func (a *account) send(iq *stanza.Element, own func(*stanza.Element) error) error {
	from := dsps.JID(iq.Attr("from"))
	a.mu.Lock()
	x, isOwn := a.at(from), from == a.self
	if x != nil && !isOwn {
		defer a.mu.Unlock()
		if !x.out.Put(iq) {
			return errFull
		}
		return nil
	}
	a.mu.Unlock()
	if !isOwn {
		return errNoAddress
	}
	return own(iq)
}
