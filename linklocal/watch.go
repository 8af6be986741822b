package linklocal

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"meshgate/linklocal/mdns"
)

// A Watch is who is on the mesh, without being on it: a roster that is fed by
// an mDNS monitor. Its methods are safe from any goroutine.
type Watch struct {
	mu     sync.Mutex
	roster *roster // guarded by mu
}

// NewWatch makes a Watch that remembers so many peers at most.
func NewWatch(peers int) *Watch { return &Watch{roster: newRoster(peers)} }

// HandleMDNS takes what the monitor of presence records has found.
func (w *Watch) HandleMDNS(ev mdns.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case mdns.Appeared:
		w.roster.see(time.Now(), peerOf(ev.Entry), ev.Links) // false: no room for it
	case mdns.Changed:
		w.roster.see(time.Now(), peerOf(ev.Entry), ev.Links)
	case mdns.Vanished:
		w.roster.remove(Instance(ev.Instance))
	}
	for ok := true; ok; {
		_, _, ok = w.roster.next() // nobody waits for the news
	}
}

// Peers returns who is there, sorted by name.
func (w *Watch) Peers(context.Context) ([]PeerInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.roster.infos()
	slices.SortFunc(list, func(a, b PeerInfo) int { return cmp.Compare(a.Instance.Key(), b.Instance.Key()) })
	return list, nil
}
