package linklocal

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
)

// Pins keeps the keys of peers: the first that a peer shows is the one that it
// has to show from then on (trust on first use). A key is the SHA-256 of a
// certificate's SubjectPublicKeyInfo. Its methods are called from several
// goroutines.
type Pins interface {
	// Pin is the key of a peer; false: we know none. It must not block.
	Pin(Instance) (sha256 []byte, ok bool)
	// SetPin keeps a key for good. It may block.
	SetPin(i Instance, sha256 []byte) error
}

const (
	maxMemoryPins = 4096
	// pinWarning is how often at most the log warns about keys: whoever shows
	// a wrong one can do so as often as they like.
	pinWarning = time.Minute
)

// memoryPins keeps the keys until the program ends.
type memoryPins struct {
	mu   sync.Mutex
	keys map[string][]byte // by Instance.Key
}

func newMemoryPins() *memoryPins { return &memoryPins{keys: make(map[string][]byte)} }

// Pin is one of the methods of Pins.
func (p *memoryPins) Pin(i Instance) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key, ok := p.keys[i.Key()]
	return key, ok
}

// SetPin is one of the methods of Pins.
func (p *memoryPins) SetPin(i Instance, key []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.keys[i.Key()]; !ok && len(p.keys) >= maxMemoryPins {
		return errors.New("linklocal: no room for another key")
	}
	p.keys[i.Key()] = key
	return nil
}

// pinOf is the key that we know a peer by; nil: none.
func (l *loop) pinOf(i Instance) []byte {
	if key := l.pinning[i.Key()]; key != nil {
		return key
	}
	key, _ := l.cfg.TLS.Pins.Pin(i)
	return key
}

// pin has the key of a peer kept, in a goroutine of its own. Until that is
// done the loop itself remembers it. It reports false if the peer has got
// another key meanwhile, on another stream.
func (l *loop) pin(i Instance, key []byte) bool {
	if old := l.pinOf(i); old != nil {
		return bytes.Equal(old, key)
	}
	l.pinning[i.Key()] = key
	l.spawn(func(context.Context) {
		err := l.cfg.TLS.Pins.SetPin(i, key)
		l.call(func(now time.Time) { l.pinned(now, i, err) })
	})
	return true
}

// pinned notes that the key of a peer has been kept, or why not.
func (l *loop) pinned(now time.Time, i Instance, err error) {
	delete(l.pinning, i.Key())
	if err == nil {
		l.log.Info("first encrypted stream with a peer: its key is remembered", "peer", i)
		return
	}
	l.count.pinsLost.Add(1)
	l.warn(now, "the key of a peer cannot be kept, so another would be taken for it", "peer", i, "err", err)
}

// warn logs what a peer can bring about as often as it likes.
func (l *loop) warn(now time.Time, text string, args ...any) {
	if now.Sub(l.warned) >= pinWarning {
		l.warned = now
		l.log.Warn(text, args...)
	}
}

// notePins counts a channel that was not good enough, and warns where that may
// be an attack.
func (l *loop) notePins(now time.Time, c *conn) {
	var text string
	switch c.stream.why {
	case errPlain:
		l.count.plainRefused.Add(1)
		return
	case errWrongKey:
		l.count.wrongKeys.Add(1)
		text = "a peer has another TLS key than the one that is remembered: one of the two is somebody else under its name, or the same person has a new program or device"
	case errDowngrade:
		l.count.plainRefused.Add(1)
		text = "a peer does not encrypt its streams, and has done so before: one of the two is somebody else under its name, or the same person has another program"
	default:
		return
	}
	l.warn(now, text, "peer", c.stream.cfg.peer, "remote", c.remote, "effect", "its streams are refused",
		"mend", "ask the person; once nobody else has the name, "+l.cfg.TLS.Forget)
}
