package bounds

import "time"

// A Memory keeps values for a while, and the newest of them if they are too many.
type Memory[K comparable, V any] struct {
	limit int
	kept  time.Duration
	m     map[K]remembered[V]
	order []keyAt[K] // by age; may hold keys that were forgotten since
}

type remembered[V any] struct {
	value V
	at    time.Time
}

type keyAt[K comparable] struct {
	key K
	at  time.Time
}

// NewMemory makes a memory of at most limit values, each for that long.
func NewMemory[K comparable, V any](limit int, kept time.Duration) *Memory[K, V] {
	return &Memory[K, V]{limit: limit, kept: kept, m: make(map[K]remembered[V])}
}

// Put remembers a value.
func (m *Memory[K, V]) Put(now time.Time, k K, v V) {
	for len(m.order) >= m.limit || len(m.order) > 0 && now.Sub(m.order[0].at) > m.kept {
		oldest := m.order[0]
		m.order = m.order[1:]
		if m.m[oldest.key].at.Equal(oldest.at) {
			delete(m.m, oldest.key)
		}
	}
	m.m[k] = remembered[V]{v, now}
	m.order = append(m.order, keyAt[K]{k, now})
}

// Get returns a value that is remembered.
func (m *Memory[K, V]) Get(now time.Time, k K) (v V, ok bool) {
	r, ok := m.m[k]
	if !ok || now.Sub(r.at) > m.kept {
		return v, false
	}
	return r.value, true
}

// Forget forgets one.
func (m *Memory[K, V]) Forget(k K) { delete(m.m, k) }

// Len is how many values there are.
func (m *Memory[K, V]) Len() int { return len(m.m) }
