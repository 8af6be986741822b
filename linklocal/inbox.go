package linklocal

import (
	"sync"

	"meshgate/linklocal/mdns"
)

// An inbox keeps what mDNS said until the loop fetches it. For each name only
// the last word is kept, so it is bounded by the number of names, and giving
// never waits. It is safe for any number of givers and one taker.
type inbox struct {
	mu     sync.Mutex
	events map[string]mdns.Event
	order  []string
	limit  int // names
	wake   chan struct{}
}

func newInbox(limit int) *inbox {
	return &inbox{events: make(map[string]mdns.Event), limit: limit, wake: make(chan struct{}, 1)}
}

// put adds an event. It reports false if there is no room for another name.
func (b *inbox) put(key string, ev mdns.Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.events[key]; !ok {
		if len(b.events) >= b.limit {
			return false
		}
		b.order = append(b.order, key)
	}
	b.events[key] = ev
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns all events and empties the inbox.
func (b *inbox) take() []mdns.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	evs := make([]mdns.Event, 0, len(b.order))
	for _, key := range b.order {
		evs = append(evs, b.events[key])
	}
	clear(b.events)
	b.order = nil
	return evs
}

// HandleMDNS takes an event of the mDNS responder. It never blocks, and it
// may be called before Run, after it, and from any goroutine.
func (s *Service) HandleMDNS(ev mdns.Event) {
	var key string
	switch ev := ev.(type) {
	case mdns.Established:
		key = "own " + string(ev.ID)
	case mdns.Renaming:
		key = "own " + string(ev.ID)
	case mdns.Appeared:
		key = presenceKey(ev.Type, ev.Instance)
	case mdns.Changed:
		key = presenceKey(ev.Type, ev.Instance)
	case mdns.Vanished:
		key = presenceKey(ev.Type, ev.Instance)
	}
	if key != "" && !s.inbox.put(key, ev) {
		s.count.eventsLost.Add(1)
	}
}

// presenceKey is "" for services that are not ours to know.
func presenceKey(typ, instance string) string {
	if typ != serviceType {
		return ""
	}
	return "peer " + Instance(instance).Key()
}
