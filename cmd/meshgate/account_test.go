package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"meshgate/bridge"
	"meshgate/bridge/status"
)

// A fakeQueue is what waits for the server, and what was done about it.
type fakeQueue struct {
	list []status.Queued
	done []string
}

func (q *fakeQueue) List(_ context.Context, n int) (status.Waiting, error) {
	return status.Waiting{Total: len(q.list), List: q.list[:min(n, len(q.list))]}, nil
}

func (q *fakeQueue) Show(_ context.Context, seq uint64) (string, error) {
	return "<message>\x1b[31m</message>", q.note("show", seq)
}

func (q *fakeQueue) Drop(_ context.Context, seq uint64) error  { return q.note("drop", seq) }
func (q *fakeQueue) Retry(_ context.Context, seq uint64) error { return q.note("retry", seq) }

func (q *fakeQueue) note(what string, seq uint64) error {
	if seq != 0 && !slices.ContainsFunc(q.list, func(x status.Queued) bool { return x.Seq == seq }) {
		return errors.New("no such stanza is waiting")
	}
	q.done = append(q.done, what)
	return nil
}

var at = time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)

func someQueue() *fakeQueue {
	return &fakeQueue{list: []status.Queued{
		{Seq: 7, ID: "m1", To: "alice@example.org", Kind: "message", Since: at, Bytes: 120, State: "aside", Reason: "the server ends the stream over it"},
		{Seq: 9, To: "carl@example.org", Kind: "presence", Since: at, Bytes: 80, State: "waiting"},
	}}
}

func someEntries() []status.Entry {
	later, last := at.Add(time.Second), at.Add(time.Minute)
	return []status.Entry{
		{ID: "m1", From: "lan", Peer: "bob@h2", Contact: "alice@example.org", Came: at, End: "bounced", Ended: &last, Passed: &later, Why: "the other side says “no”"},
		{ID: "n1", From: "network", Peer: "bob\x1b@h2", Contact: "alice@example.org", Came: at, End: "delivered", Ended: &later},
		{From: "lan", Peer: "eve@h3", Contact: "alice@example.org", Came: at, End: "refused-stranger", Ended: &at},
		{ID: "m2", From: "lan", Peer: "bob@h2", Contact: "alice@example.org", Came: at, End: "pending", Queue: "sent"},
	}
}

// asked runs a command against a gateway that has these.
func asked(t *testing.T, q *fakeQueue, args ...string) (out, errs string, code int) {
	t.Helper()
	path := served(t, status.Config{Queue: q, Trace: func(_ context.Context, of string, n int) ([]status.Entry, error) {
		all := slices.DeleteFunc(someEntries(), func(e status.Entry) bool { return e.ID != of && e.Peer != of && e.Contact != of })
		return all[max(0, len(all)-n):], nil
	}})
	var o, e bytes.Buffer
	at := 1
	if args[0] == "queue" {
		at = 2
	}
	code = realMain(slices.Insert(slices.Clone(args), at, "-socket", path), process{stdout: &o, stderr: &e, getenv: noEnv})
	return o.String(), e.String(), code
}

func TestTraceTellsTheWayOfAMessage(t *testing.T) {
	out, errs, code := asked(t, nil, "trace", "alice@example.org")
	want := `from bob@h2 to alice@example.org, id m1
  2026-11-21 12:00:00  came from the LAN
  2026-11-21 12:00:01  delivered: the server has acknowledged it
  2026-11-21 12:01:00  came back, its sender was told (the other side says “no”)

from alice@example.org to bob�@h2, id n1
  2026-11-21 12:00:00  came from the network
  2026-11-21 12:00:01  delivered: written to the peer's stream

from eve@h3 to alice@example.org
  2026-11-21 12:00:00  came from the LAN
  2026-11-21 12:00:00  refused: peers does not name this peer

from bob@h2 to alice@example.org, id m2
  2026-11-21 12:00:00  came from the LAN
  now                  sent to the server, which has not acknowledged it yet
`
	if out != want || code != exitOK {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
	out, _, _ = asked(t, nil, "trace", "-json", "-n", "1", "bob@h2")
	var list []status.Entry
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].ID != "m2" {
		t.Errorf("JSON: %v, %s", err, out)
	}
	if _, errs, code := asked(t, nil, "trace", "nobody"); code != exitFailed || !strings.Contains(errs, `no message is known with the id "nobody"`) {
		t.Errorf("nobody: exit code %d, %s", code, errs)
	}
}

// Each end has words, in each direction in which it can occur.
func TestEveryEndHasWords(t *testing.T) {
	for _, o := range bridge.Outcomes() {
		switch o {
		case bridge.StatePassed, bridge.Consumed, bridge.Ignored, bridge.Echo: // they are counted only
			continue
		}
		if w, ok := endings[o.String()]; !ok || w == (ending{}) {
			t.Errorf("%s has no words", o)
		}
	}
}

func TestQueueListsAndDoes(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // of what is printed
		done string // to the queue
		code int
	}{
		{[]string{"list"}, "SEQ  STATE", "", exitOK},
		{[]string{"list"}, "7    aside: the server ", "", exitOK},
		{[]string{"list", "-n", "1"}, "… and 1 more\n", "", exitOK},
		{[]string{"list", "-json"}, `"total": 2`, "", exitOK},
		{[]string{"show", "7"}, "<message>", "show", exitOK},
		{[]string{"drop", "7"}, "Message 7 to alice@example.org is dropped: it will not be sent. bob@h2 is told.\n", "drop", exitOK},
		{[]string{"drop", "9"}, "Stanza 9 is dropped: it will not be sent.\n", "drop", exitOK},
		{[]string{"drop", "8"}, "", "", exitFailed},
		{[]string{"retry", "7"}, "Message 7 to alice@example.org waits for the server again.\n", "retry", exitOK},
		{[]string{"retry"}, "The gateway tries to connect now", "retry", exitOK},
	} {
		q := someQueue()
		out, errs, code := asked(t, q, append([]string{"queue"}, tt.args...)...)
		if code != tt.code || !strings.Contains(out, tt.want) || strings.Join(q.done, " ") != tt.done {
			t.Errorf("%q: exit code %d, did %q, %s\n%s", tt.args, code, q.done, errs, out)
		}
		if code == exitFailed && errs != "meshgate queue: the gateway says: no such stanza is waiting\n" {
			t.Errorf("%q: %s", tt.args, errs)
		}
	}
	if out, _, code := asked(t, &fakeQueue{}, "queue", "list"); code != exitOK || out != "nothing waits for the server\n" {
		t.Errorf("nothing: exit code %d, %q", code, out)
	}
}
