package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A line is what waits, and what it was asked.
type line struct{ asked []string }

func (l *line) note(what string, seq uint64) error {
	l.asked = append(l.asked, fmt.Sprintf("%s %d", what, seq))
	if seq == 404 {
		return errors.New("no such stanza")
	}
	return nil
}

func (l *line) List(_ context.Context, n int) (Waiting, error) {
	return Waiting{Total: 7, List: []Queued{{Seq: 3, Kind: "message", Since: began}}}, l.note("list", uint64(n))
}

func (l *line) Show(_ context.Context, seq uint64) (string, error) {
	return "<x/>", l.note("show", seq)
}
func (l *line) Drop(_ context.Context, seq uint64) error  { return l.note("drop", seq) }
func (l *line) Retry(_ context.Context, seq uint64) error { return l.note("retry", seq) }

func TestServerTellsWhatWaitsAndWhatBecameOfTheRest(t *testing.T) {
	l := &line{}
	cfg := (&gateway{}).config(socketPath(t))
	cfg.Queue = l
	cfg.Ledger = func(context.Context) (Ledger, error) {
		return Ledger{Balanced: true, FromLAN: Account{Entered: 2, Pending: 1, Ended: map[string]uint64{"delivered": 1}}}, nil
	}
	cfg.Trace = func(_ context.Context, of string, n int) ([]Entry, error) {
		return []Entry{{ID: fmt.Sprint(of, " ", n), Came: began}}, nil
	}
	c, _ := serveConfig(t, cfg)
	ctx := t.Context()

	led, err := c.Ledger(ctx)
	if want, _ := cfg.Ledger(ctx); err != nil || cmp.Diff(want, led) != "" {
		t.Errorf("ledger %+v, %v", led, err)
	}
	if list, err := c.Trace(ctx, "a b&c@x", 3); err != nil || len(list) != 1 || list[0].ID != "a b&c@x 3" || !list[0].Came.Equal(began) {
		t.Errorf("trace %+v, %v", list, err)
	}
	if list, err := c.Trace(ctx, "x", 1e9); err != nil || list[0].ID != fmt.Sprint("x ", MaxEntries) {
		t.Errorf("trace without end: %+v, %v", list, err)
	}
	if list, err := c.Trace(ctx, "", 1); err != nil || list[0].ID != " 1" {
		t.Errorf("trace of all: %+v, %v", list, err)
	}
	if q, err := c.Queue(ctx, 5); err != nil || q.Total != 7 || len(q.List) != 1 || q.List[0].Seq != 3 {
		t.Errorf("queue %+v, %v", q, err)
	}
	if xml, err := c.QueuedStanza(ctx, 3); err != nil || xml != "<x/>" {
		t.Errorf("stanza %q, %v", xml, err)
	}
	for _, err := range []error{c.DropQueued(ctx, 3), c.RetryQueued(ctx, 3), c.RetryQueued(ctx, 0)} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := c.DropQueued(ctx, 404); err == nil || !strings.Contains(err.Error(), "the gateway says: no such stanza") {
		t.Errorf("drop of none: %v", err)
	}
	want := []string{"list 5", "show 3", "drop 3", "retry 3", "retry 0", "drop 404"}
	if d := cmp.Diff(want, l.asked); d != "" {
		t.Error(d)
	}
}
