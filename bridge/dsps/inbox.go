package dsps

import (
	"sync"

	"meshgate/internal/mailbox"
	"meshgate/internal/stanza"
)

const (
	inboxSize = 1024 // queries that wait for the loop …
	inboxEach = 128  // … and those of one person
)

// An inbox has the queries that wait for the loop. Who sends more than are taken
// leaves room for others.
type inbox struct {
	*mailbox.Mailbox[arrived]
	mu   sync.Mutex
	each map[JID]int
}

// arrived is a query on its way to the loop.
type arrived struct {
	from, to JID
	iq       *stanza.Element
}

func newInbox() *inbox {
	return &inbox{Mailbox: mailbox.New[arrived](inboxSize), each: map[JID]int{}}
}

// put reports false if too many wait.
func (b *inbox) put(q arrived) bool {
	who := q.from.Bare().fold()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.each[who] >= inboxEach || !b.Put(q) {
		return false
	}
	b.each[who]++
	return true
}

// take is all that wait.
func (b *inbox) take() []arrived {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.each)
	return b.Take()
}
