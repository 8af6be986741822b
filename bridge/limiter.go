package bridge

import (
	"time"

	"meshgate/linklocal"
)

// A limiter is a set of token buckets, one for each key.
type limiter struct {
	rate  Rate
	limit int // buckets kept
	m     map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(rate Rate, limit int) *limiter {
	return &limiter{rate: rate, limit: limit, m: make(map[string]bucket)}
}

// peerKey and contactKey keep the two apart: a peer may call itself by a
// contact's address.
func peerKey(i linklocal.Instance) string { return "peer " + i.Key() }
func contactKey(bare string) string       { return "contact " + bare }

// allow takes a token of key, if there is one.
func (l *limiter) allow(now time.Time, key string) bool {
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

func (l *limiter) level(now time.Time, b bucket) float64 {
	filled := b.tokens + now.Sub(b.at).Minutes()*float64(l.rate.PerMinute)
	return min(filled, float64(l.rate.Burst))
}

// sweep forgets full buckets, which are as good as none, and reports whether
// there is room now.
func (l *limiter) sweep(now time.Time) bool {
	for k, b := range l.m {
		if l.level(now, b) >= float64(l.rate.Burst) {
			delete(l.m, k)
		}
	}
	return len(l.m) < l.limit
}
