package dsps

import (
	"math"
	"strconv"
	"strings"
)

// A Rate is in bytes per second.
type Rate int64

// units are the words of the document; it names no petabytes, but nothing else
// could be between.
var units = [...]string{"B", "KB", "MB", "GB", "TB", "PB", "EB"}

// String is the rate as the document writes it, "1.5KB": exact, with at most three decimals.
func (r Rate) String() string {
	for i := len(units) - 1; i > 0; i-- {
		unit := int64(1) << (10 * i)
		whole, rest := int64(r)/unit, int64(r)%unit
		if eighth := unit / 8; whole > 0 && rest%eighth == 0 {
			decimals := strconv.FormatInt(1000+rest/eighth*125, 10)[1:]
			decimals = strings.TrimRight("."+decimals, "0")
			return strconv.FormatInt(whole, 10) + strings.TrimSuffix(decimals, ".") + units[i]
		}
	}
	return strconv.FormatInt(int64(r), 10) + units[0]
}

// about is the rate with one decimal, for people.
func (r Rate) about() Rate {
	for i := len(units) - 1; i > 0; i-- {
		if unit := float64(int64(1) << (10 * i)); float64(r) >= unit {
			eighth := math.Round(float64(r) / unit * 8)
			return Rate(math.Min(eighth*unit/8, 1<<62))
		}
	}
	return r
}

// ParseRate reads a rate: a decimal number and a unit, or bytes without one.
// What is below zero is zero.
func ParseRate(s string) (Rate, bool) {
	s = strings.TrimSpace(s)
	digits := strings.TrimRight(s, "BKMGTPE")
	unit := s[len(digits):]
	power := 0
	for i, u := range units {
		if unit == u {
			power = i
		}
	}
	if unit != "" && unit != units[power] || len(digits) > 20 || strings.Trim(digits, "-.0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, false
	}
	v *= float64(int64(1) << (10 * power))
	return Rate(math.Max(0, math.Min(v, 1<<62))), true
}

// A Throughput holds averages over the last 1, 2, 4, 8 … seconds. An average
// below zero is one that is not known.
type Throughput []Rate

// maxSpans is how many averages are told and read at most.
const maxSpans = 16

// String is the averages, divided by slashes.
func (t Throughput) String() string {
	var b strings.Builder
	for i, r := range t {
		if i > 0 {
			b.WriteByte('/')
		}
		if r >= 0 {
			b.WriteString(r.String())
		}
	}
	return b.String()
}

// ParseThroughput reads averages; what is not one is not known.
func ParseThroughput(s string) Throughput {
	var t Throughput
	for f := range strings.SplitSeq(s, "/") {
		if len(t) == maxSpans {
			break
		}
		r, ok := ParseRate(f)
		if !ok {
			r = -1
		}
		t = append(t, r)
	}
	return t
}

// Over is the average over 2^n seconds, 0 if it is not known.
func (t Throughput) Over(n int) Rate {
	if n >= len(t) || t[n] < 0 {
		return 0
	}
	return t[n]
}
