package mdns

import "time"

// Limits bound what others can make us keep, send or do. A zero field means
// the default. When a cap is hit the newest unknown thing is dropped and
// counted; what is established stays.
type Limits struct {
	Records            int // cached records; default 4096
	RecordsPerSource   int // of them from one address; default 2048
	Instances          int // monitored instances per type; default 1024
	InstancesPerSource int // of them first heard of from one address; default 512; half as many by hints
	TextSize           int // bytes of a TXT record; default 8192
	NullSize           int // bytes of a NULL record; default 65535
	QuestionsPerPacket int // a packet with more is dropped; default 512
	RecordsPerPacket   int // further ones are not looked at; default 1024
	Services           int // that we publish; default 1024
	Resolves           int // outstanding; default 256
	HeldQueries        int // truncated queries waiting for their rest; default 32
	ResponseRate       int // response packets per second, unicast and multicast each; default 200
	ResponseBurst      int // default 400
	AskRate            int // names asked per second on our own account; default 100
	AskBurst           int // default 600
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Records, 4096}, {&l.RecordsPerSource, 2048}, {&l.Instances, 1024}, {&l.InstancesPerSource, 512},
		{&l.TextSize, 8192}, {&l.NullSize, 65535}, {&l.QuestionsPerPacket, 512}, {&l.RecordsPerPacket, 1024},
		{&l.Services, 1024}, {&l.Resolves, 256}, {&l.HeldQueries, 32},
		{&l.ResponseRate, 200}, {&l.ResponseBurst, 400}, {&l.AskRate, 100}, {&l.AskBurst, 600},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// Stats are counters since the start and, last, current sizes.
type Stats struct {
	PacketsIn, PacketsOut uint64
	Malformed             uint64 // packets, and records in them
	RateLimited           uint64 // responses dropped or put off, questions put off
	CacheDropped          uint64 // records and instances that found no room
	Conflicts             uint64
	OwnEchoes             uint64 // our own packets, looped back
	Twins                 uint64 // packets that had come by the other family already
	SendErrors            uint64 // datagrams the kernel refused; set by Conn
	OffLink               uint64 // datagrams from elsewhere; set by Conn

	Services, Records, Instances, Pending int
}

// add sums up the counters and sizes of several links.
func (s *Stats) add(o Stats) {
	s.PacketsIn += o.PacketsIn
	s.PacketsOut += o.PacketsOut
	s.Malformed += o.Malformed
	s.RateLimited += o.RateLimited
	s.CacheDropped += o.CacheDropped
	s.Conflicts += o.Conflicts
	s.OwnEchoes += o.OwnEchoes
	s.Twins += o.Twins
	s.SendErrors += o.SendErrors
	s.OffLink += o.OffLink
	s.Records += o.Records
	s.Pending += o.Pending
}

// A bucket is a token bucket that may run into debt by one withdrawal.
type bucket struct {
	rate, burst float64
	tokens      float64
	at          time.Time
}

func newBucket(now time.Time, rate, burst int) bucket {
	return bucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst), at: now}
}

// open reports whether anything may be withdrawn.
func (b *bucket) open(now time.Time) bool {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.burst, b.tokens+d.Seconds()*b.rate)
		b.at = now
	}
	return b.tokens >= 1
}

func (b *bucket) withdraw(n int) { b.tokens -= float64(n) }

// A deadline is a lower bound of the times something is to be done at.
type deadline struct{ t time.Time }

func (d *deadline) at(t time.Time) {
	if !t.IsZero() && (d.t.IsZero() || t.Before(d.t)) {
		d.t = t
	}
}

// take reports whether the deadline has come, and clears it if so: who
// handles it sets the next one.
func (d *deadline) take(now time.Time) bool {
	if !due(d.t, now) {
		return false
	}
	d.t = time.Time{}
	return true
}

// due reports whether t is set and not after now.
func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
