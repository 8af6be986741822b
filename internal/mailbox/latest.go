package mailbox

import "sync"

// A Latest keeps the last word of each key until a loop fetches it: so it is
// bounded by the number of keys, and giving never waits. It is safe for any
// number of givers and one taker.
type Latest[K comparable, V any] struct {
	mu    sync.Mutex
	words map[K]V
	order []K
	limit int // keys
	wake  chan struct{}
}

// NewLatest makes a Latest for at most limit keys.
func NewLatest[K comparable, V any](limit int) *Latest[K, V] {
	return &Latest[K, V]{words: make(map[K]V), limit: limit, wake: make(chan struct{}, 1)}
}

// Put says the last word of a key. It reports false if there is no room for
// another key.
func (l *Latest[K, V]) Put(key K, word V) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.words[key]; !ok {
		if len(l.words) >= l.limit {
			return false
		}
		l.order = append(l.order, key)
	}
	l.words[key] = word
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// C delivers a token after words were put: the taker then calls Take.
func (l *Latest[K, V]) C() <-chan struct{} { return l.wake }

// Take returns all words, by the order in which their keys came, and empties l.
func (l *Latest[K, V]) Take() []V {
	l.mu.Lock()
	defer l.mu.Unlock()
	words := make([]V, 0, len(l.order))
	for _, key := range l.order {
		words = append(words, l.words[key])
	}
	clear(l.words)
	l.order = nil
	return words
}
