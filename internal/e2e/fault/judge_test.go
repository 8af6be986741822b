package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	begin := time.Unix(0, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	three := []sending{{at(0), 1}, {at(10), 1}, {at(20), 1}}
	whole := func(n int, id string) arrival { return arrival{n: n, id: id, whole: true} }
	for _, tt := range []struct {
		name string
		r    record
		want verdict
	}{
		{"all came", record{sent: three, came: []arrival{whole(0, "a"), whole(1, "b"), whole(2, "c")}}, verdict{sent: 3, received: 3}},
		{"one is missing", record{sent: three, came: []arrival{whole(0, "a"), whole(2, "c")}}, verdict{sent: 3, received: 2, lost: []int{1}}},
		{"one is mangled", record{sent: three[:1], came: []arrival{{n: 0, id: "a"}}}, verdict{sent: 1, lost: []int{0}}},
		{"again by another id", record{sent: three[:1], came: []arrival{whole(0, "a"), whole(0, "b")}}, verdict{sent: 1, received: 1, doubled: []int{0}}},
		{"again without id", record{sent: three[:1], came: []arrival{whole(0, ""), whole(0, "")}}, verdict{sent: 1, received: 1, doubled: []int{0}}},
		{"again by its id", record{sent: three[:1], came: []arrival{whole(0, "a"), whole(0, "a")}}, verdict{sent: 1, received: 1, repeated: 1}},
		{"disorder", record{sent: three, came: []arrival{whole(2, "c"), whole(0, "a"), whole(1, "b")}}, verdict{sent: 3, received: 3, reordered: 2}},
		{
			"noted late, of another stream",
			record{sent: three[:2], came: []arrival{{at: at(2), n: 1, id: "b", whole: true}, {at: at(1), n: 0, id: "a", whole: true}}},
			verdict{sent: 2, received: 2},
		},
		{
			"the last of a killed stream",
			record{sent: three, came: []arrival{whole(0, "a")}, kills: map[int]time.Time{1: at(30)}},
			verdict{sent: 3, received: 1, unread: 2},
		},
		{
			"of a killed stream, but something behind it came",
			record{sent: three, came: []arrival{whole(0, "a"), whole(2, "c")}, kills: map[int]time.Time{1: at(30)}},
			verdict{sent: 3, received: 2, lost: []int{1}},
		},
		{
			"of a killed stream, but long before the kill",
			record{sent: three, kills: map[int]time.Time{1: at(20).Add(handsFull)}},
			verdict{sent: 3, lost: []int{0, 1, 2}},
		},
		{
			"to the LAN, in the sender's archive, and one in the gateway's",
			record{sent: three, taken: map[int]bool{0: true, 1: true}, given: map[int]bool{1: true}, toLAN: true},
			verdict{sent: 3, lost: []int{1, 2}, byServer: 1},
		},
		{
			"to the network, in the gateway's archive, and one in the contact's",
			record{sent: three, taken: map[int]bool{0: true, 1: true}, given: map[int]bool{1: true}},
			verdict{sent: 3, lost: []int{2}, byServer: 1, kept: 1},
		},
		{
			"in no archive, but acknowledged",
			record{sent: three, acked: 2},
			verdict{sent: 3, lost: []int{2}, byServer: 2},
		},
		{
			"acknowledged is also what is in an archive",
			record{sent: three, taken: map[int]bool{0: true, 1: true}, given: map[int]bool{1: true}, acked: 2},
			verdict{sent: 3, lost: []int{2}, byServer: 1, kept: 1},
		},
		{
			"all in no archive, but acknowledged",
			record{sent: three, acked: 4},
			verdict{sent: 3, byServer: 3},
		},
		{
			"of another stream than the killed one",
			record{sent: three, kills: map[int]time.Time{2: at(30)}},
			verdict{sent: 3, lost: []int{0, 1, 2}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, judge(tt.r), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A text says which message it is, whatever is put in front of it, and whether
// any of it is missing.
func TestWordsAreKnownAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := words{"up1", []int{rapid.IntRange(20, 20_000).Draw(t, "size")}}
		n := rapid.IntRange(0, 1_000_000).Draw(t, "n")
		text := w.text(n)
		if got, whole, ok := w.number("[peer1@h2] " + text); got != n || !whole || !ok {
			t.Fatalf("%q is %d, whole: %v, known: %v", text, got, whole, ok)
		}
		if text != strings.TrimSpace(text) || len(text) > w.sizes[0] || len(text) < w.sizes[0]-4 {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
		if _, whole, ok := w.number(text[:len(text)-1]); whole && ok {
			t.Fatal("a byte is missing")
		}
		if _, _, ok := (words{"up2", w.sizes}).number(text); ok {
			t.Fatal("known to another way")
		}
	})
}
