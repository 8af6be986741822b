package mailbox

import (
	"slices"
	"sync"
	"testing"
)

func TestNothingIsLostAndOrderIsKeptPerGiver(t *testing.T) {
	const givers, each = 8, 1000
	m := New[[2]int](givers * each)
	var wg sync.WaitGroup
	for g := range givers {
		wg.Go(func() {
			for i := range each {
				if !m.Put([2]int{g, i}) {
					t.Error("Put refused below the limit")
				}
			}
		})
	}
	var last [givers]int
	for taken := 0; taken < givers*each; {
		<-m.C()
		for _, item := range m.Take() {
			if item[1] != last[item[0]] {
				t.Fatalf("giver %d: item %d, want %d", item[0], item[1], last[item[0]])
			}
			last[item[0]]++
			taken++
		}
	}
	wg.Wait()
}

func TestAFullMailboxRefusesAndKeepsWhatItHas(t *testing.T) {
	m := New[int](2)
	for i, want := range []bool{true, true, false} {
		if got := m.Put(i); got != want {
			t.Errorf("Put %d = %v, want %v", i, got, want)
		}
	}
	if got := m.Take(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("Take = %v, want [0 1]", got)
	}
	if !m.Put(3) {
		t.Error("Put after Take refused")
	}
}

func TestAClosedMailboxTakesNothing(t *testing.T) {
	m := New[int](2)
	m.Put(1)
	m.Close()
	if m.Put(2) || !m.Closed() || len(m.Take()) > 0 {
		t.Error("a closed mailbox took or kept something")
	}
}

func TestALatestKeepsTheLastWordOfEachKey(t *testing.T) {
	l := NewLatest[string, int](2)
	for i, key := range []string{"a", "b", "a"} {
		if !l.Put(key, i) {
			t.Errorf("Put %s refused", key)
		}
	}
	if l.Put("c", 3) {
		t.Error("a third key was taken, the limit is 2")
	}
	<-l.C()
	if got := l.Take(); !slices.Equal(got, []int{2, 1}) {
		t.Errorf("took %v, want [2 1]: the last words, in the order of the keys", got)
	}
	if got := l.Take(); len(got) != 0 || !l.Put("c", 3) {
		t.Errorf("after that: %v, or no room", got)
	}
}
