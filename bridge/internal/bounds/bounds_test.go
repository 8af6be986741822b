package bounds

import (
	"testing"
	"time"
)

var start = time.Unix(1e9, 0)

func TestLimiterGivesBurstAndRate(t *testing.T) {
	l := NewLimiter(Rate{PerMinute: 60, Burst: 3}, 2)
	allowed := func(now time.Time, key string) (n int) {
		for range 100 {
			if l.Allow(now, key) {
				n++
			}
		}
		return n
	}
	for _, tc := range []struct {
		after time.Duration
		key   string
		want  int
	}{
		{0, "a", 3}, {0, "b", 3}, {0, "c", 0}, // no room for a third
		{1500 * time.Millisecond, "a", 1}, {2 * time.Second, "a", 1}, {time.Hour, "a", 3}, {time.Hour, "c", 3}, // b was swept
	} {
		if got := allowed(start.Add(tc.after), tc.key); got != tc.want {
			t.Errorf("%s after %v: %d allowed, want %d", tc.key, tc.after, got, tc.want)
		}
	}
}

func TestMemoryKeepsTheNewest(t *testing.T) {
	m := NewMemory[string, int](3, time.Minute)
	for i, k := range []string{"a", "b", "c", "d"} {
		m.Put(start.Add(time.Duration(i)*time.Second), k, i)
	}
	at := start.Add(10 * time.Second)
	for k, want := range map[string]bool{"a": false, "b": true, "c": true, "d": true} {
		if _, ok := m.Get(at, k); ok != want {
			t.Errorf("%s is there: %v, want %v", k, ok, want)
		}
	}
	if _, ok := m.Get(start.Add(time.Hour), "d"); ok {
		t.Error("d is there after an hour")
	}
	m.Put(at, "d", 5) // again: the older entry must not take the newer one along
	m.Put(at, "e", 6)
	m.Put(at, "f", 7)
	if v, _ := m.Get(at, "d"); v != 5 {
		t.Errorf("d is %d, want 5", v)
	}
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"bob@h2", "bob@h2", true}, {"bob@h2", "bob@h22", false}, {"*", "", true}, {"*", "x", true},
		{"*@h2", "bob@h2", true}, {"*@h2", "bob@h2x", false}, {"b*b*b", "bb", false}, {"b*b*b", "bxbxb", true},
		{"a*a", "a", false}, {"a**c", "abc", true}, {"", "", true}, {"", "x", false}, {"*a*b*", "xbxa", false},
	} {
		if got := Matches(tc.pattern, tc.name); got != tc.want {
			t.Errorf("Matches(%q, %q) = %v, want %v", tc.pattern, tc.name, got, tc.want)
		}
	}
}
