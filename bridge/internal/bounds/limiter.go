// Package bounds holds what bounds others within the bridge: who may do
// something and how often, and how much is remembered. It is pure.
package bounds

import "time"

// A Rate bounds how often something may happen.
type Rate struct {
	PerMinute int
	Burst     int
}

// A Limiter is a set of token buckets, one for each key.
type Limiter struct {
	rate  Rate
	limit int // buckets kept
	m     map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewLimiter makes a limiter that keeps that many buckets. When all of them are in
// use, nobody else may do anything.
func NewLimiter(rate Rate, limit int) *Limiter {
	return &Limiter{rate: rate, limit: limit, m: make(map[string]bucket)}
}

// Allow takes a token of key, if there is one.
func (l *Limiter) Allow(now time.Time, key string) bool {
	b, ok := l.m[key]
	if !ok {
		if len(l.m) >= l.limit && !l.sweep(now) {
			return false
		}
		b = bucket{float64(l.rate.Burst), now}
	}
	b = bucket{l.level(now, b), now}
	if b.tokens < 1 {
		l.m[key] = b
		return false
	}
	b.tokens--
	l.m[key] = b
	return true
}

// Len is how many buckets there are.
func (l *Limiter) Len() int { return len(l.m) }

func (l *Limiter) level(now time.Time, b bucket) float64 {
	filled := b.tokens + now.Sub(b.at).Minutes()*float64(l.rate.PerMinute)
	return min(filled, float64(l.rate.Burst))
}

// sweep forgets full buckets, which are as good as none, and reports whether
// there is room now.
func (l *Limiter) sweep(now time.Time) bool {
	for k, b := range l.m {
		if l.level(now, b) >= float64(l.rate.Burst) {
			delete(l.m, k)
		}
	}
	return len(l.m) < l.limit
}
