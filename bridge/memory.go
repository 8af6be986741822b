package bridge

import "time"

// A memory keeps values for a while, and the newest of them if they are too many.
type memory[K comparable, V any] struct {
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

func newMemory[K comparable, V any](limit int, kept time.Duration) *memory[K, V] {
	return &memory[K, V]{limit: limit, kept: kept, m: make(map[K]remembered[V])}
}

func (m *memory[K, V]) put(now time.Time, k K, v V) {
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

func (m *memory[K, V]) get(now time.Time, k K) (v V, ok bool) {
	r, ok := m.m[k]
	if !ok || now.Sub(r.at) > m.kept {
		return v, false
	}
	return r.value, true
}

func (m *memory[K, V]) forget(k K) { delete(m.m, k) }
