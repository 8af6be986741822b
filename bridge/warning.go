package bridge

import (
	"time"

	"meshgate/bridge/internal/bounds"
	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

const (
	maxTold    = 10_000                         // peers of whom it is remembered that they were told
	maxPlain   = 1000                           // conversations whose stream is known to be plain
	maxWarning = 64                             // warnings on their way
	ever       = 100 * 365 * 24 * time.Hour     // until somebody is told again
	noteTold   = "told that the LAN is plain: " // before the peer's key
)

// A warning tells each peer once, in the window of the contact with whom it
// talks, that a plain stream is neither encrypted nor authenticated.
//
// "the channel is not authenticated or encrypted … a client SHOULD warn the
// user" (in substance), XEP-0174 §10.1 (Authentication and Encryption)
type warning struct {
	plain *bounds.Memory[talkKey, struct{}] // conversations whose stream is plain
	told  *bounds.Memory[string, struct{}]  // peers, by Key
	sent  map[uint64]string                 // tokens of warnings on their way: peers, by Key
}

func newWarning() warning {
	return warning{
		plain: bounds.NewMemory[talkKey, struct{}](maxPlain, ever),
		told:  bounds.NewMemory[string, struct{}](maxTold, ever),
		sent:  make(map[uint64]string),
	}
}

// streamOpened notes whether others can read what a contact and a peer write.
func (e *engine) streamOpened(now time.Time, ev linklocal.StreamOpened) {
	ct := e.mirrors.byBare[string(ev.Contact)]
	if ct == nil {
		return // the concierge passes nothing on
	}
	key := talkKey{ct.bare, ev.Peer.Key()}
	if ev.TLS {
		e.warning.plain.Forget(key)
		return
	}
	if _, known := e.warning.plain.Get(now, key); !known { // or one who calls again and again would push the others out
		e.warning.plain.Put(now, key, struct{}{})
	}
	e.warn(now, e.talks.with(now, ct, ev.Peer)) // if the contact spoke first
}

// warn tells the peer of a conversation in which words have passed, nil being
// none, unless it knows already or the stream is not plain. A warning that is
// lost is told with the next words.
func (e *engine) warn(now time.Time, k *talk) {
	if k == nil || !e.cfg.WarnPlain {
		return
	}
	w, peer := &e.warning, k.key.peer
	_, plain := w.plain.Get(now, k.key)
	_, told := w.told.Get(now, peer)
	if !plain || told || w.underway(peer) || len(w.sent) >= maxWarning {
		return
	}
	e.tokens++
	w.sent[e.tokens] = peer
	// Only where the stream is open still: another may not be plain.
	e.emit(toLAN{
		from: k.contact.mirror.id, to: k.peer, open: true, token: e.tokens,
		stanza: rewrite.NoticeToLAN(e.cfg.Concierge, wordsPlain),
	})
}

func (w *warning) underway(peer string) bool {
	for _, p := range w.sent {
		if p == peer {
			return true
		}
	}
	return false
}

// warned takes what became of a warning. It reports false if it was none.
func (e *engine) warned(now time.Time, token uint64, err error) bool {
	peer, ok := e.warning.sent[token]
	if !ok {
		return false
	}
	delete(e.warning.sent, token)
	if err == nil {
		e.warning.told.Put(now, peer, struct{}{})
		e.emit(keepNote{noteTold + peer})
	}
	return true
}
