// Package mailbox hands work to the goroutine that owns a piece of state,
// without ever making the giver wait.
package mailbox

import "sync"

// A Mailbox is a bounded queue between goroutines. It is safe for any number
// of givers and one taker.
//
// It exists so that the parts of the gateway may command each other in a
// circle and yet cannot deadlock: giving never blocks, it fails when the
// mailbox is full, and the giver decides what that means for the person waiting.
type Mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	limit int // negative: closed
	wake  chan struct{}
}

// New makes a mailbox for at most limit items.
func New[T any](limit int) *Mailbox[T] {
	return &Mailbox[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// Put adds an item. It reports false, and adds nothing, if the mailbox is full
// or closed.
func (m *Mailbox[T]) Put(item T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) >= m.limit {
		return false
	}
	m.items = append(m.items, item)
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return true
}

// C delivers a token after items were put: the taker then calls Take.
func (m *Mailbox[T]) C() <-chan struct{} { return m.wake }

// Take returns all items, oldest first, and empties the mailbox.
func (m *Mailbox[T]) Take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

// Close drops what nobody has taken and refuses all that comes.
func (m *Mailbox[T]) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items, m.limit = nil, -1
}

// Closed reports whether Close was called.
func (m *Mailbox[T]) Closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limit < 0
}
