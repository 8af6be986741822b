package dsps

import "time"

const (
	// meterSpans: averages over 1, 2, 4, 8, 16, 32 and 64 s.
	meterSpans = 7
	// verdictSpan is that of "minimum 16 second average throughput".
	// XEP-0037, Stream Creation
	verdictSpan = 4
)

// A meter measures what a peer takes. "Time is measured only during data
// transfer": its seconds are those in which something waited for the peer.
// XEP-0037, Stream peer listing
type meter struct {
	seconds [1 << (meterSpans - 1)]float64 // bytes, a ring
	full    int                            // whole seconds so far
	bytes   float64                        // of the second that has begun …
	part    time.Duration                  // … and how much of it is over
	stuck   time.Duration                  // without a byte
}

// add counts what was written in a time of transfer, at an even pace.
func (m *meter) add(bytes int64, busy time.Duration) {
	m.stuck += busy
	if bytes > 0 {
		m.stuck = 0
	}
	if whole := time.Duration(2*len(m.seconds)) * time.Second; busy > whole {
		bytes = int64(float64(bytes) * float64(whole) / float64(busy))
		busy = whole
	}
	rest := float64(bytes)
	for m.part+busy >= time.Second {
		step := time.Second - m.part
		share := rest * float64(step) / float64(busy)
		m.seconds[m.full%len(m.seconds)] = m.bytes + share
		m.full++
		m.bytes, m.part = 0, 0
		rest -= share
		busy -= step
	}
	m.bytes += rest
	m.part += busy
}

// again begins anew with a new connection, but for what a stranger was measured at.
func (m *meter) again(stranger bool) {
	if stranger {
		m.stuck = 0
		return
	}
	*m = meter{}
}

// over is the average of the last 2^n seconds, or of as many as there were.
func (m *meter) over(n int) Rate {
	k := min(1<<n, m.full, len(m.seconds))
	if k == 0 {
		if m.bytes == 0 {
			return 0
		}
		return Rate(m.bytes / max(m.part.Seconds(), 1e-6))
	}
	var sum float64
	for i := range k {
		sum += m.seconds[(m.full-1-i)%len(m.seconds)]
	}
	return Rate(sum / float64(k))
}

// judged reports whether there were enough seconds for a verdict.
func (m *meter) judged() bool { return m.full >= 1<<verdictSpan }

// throughput is what who tells. "Only fields representing power of zero (2^0
// sec) and power of four (2^4 sec) are required. Last field must be filled-in."
func (m *meter) throughput() Throughput {
	t := Throughput{m.over(0).about(), -1, -1, -1, m.over(verdictSpan).about(), -1, -1}
	for n := range t {
		if m.full >= 1<<n {
			t[n] = m.over(n).about()
		}
	}
	for t[len(t)-1] < 0 {
		t = t[:len(t)-1]
	}
	return t
}
