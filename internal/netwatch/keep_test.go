package netwatch

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A failing says one thing and then fails; a patient one waits for the end.
type (
	failing struct{}
	patient struct{}
)

func (failing) run(_ context.Context, changed func()) error {
	changed()
	return errors.New("no buffer space")
}

func (patient) run(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

// A listener that fails is replaced a while later, as often as it has to be, and
// what was said meanwhile may have been anything.
func TestAListenerThatFailsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := []hearer{nil, failing{}, nil, nil, patient{}} // nil: it cannot listen
		var listens, changes atomic.Int32                     // timers alone are no order to the race detector
		listen := func() (hearer, error) {
			if l := next[listens.Add(1)-1]; l != nil {
				return l, nil
			}
			return nil, errors.New("too many open files")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			keep(ctx, slog.New(slog.DiscardHandler), failing{}, listen, func() { changes.Add(1) })
		}()
		for i, want := range []struct{ listens, changes int32 }{{0, 1}, {1, 1}, {2, 3}, {3, 3}, {4, 3}, {5, 4}} {
			synctest.Wait()
			if got := listens.Load(); got != want.listens || changes.Load() != want.changes {
				t.Errorf("%v later: it has listened anew %d times, with %d changes; want %+v", time.Duration(i)*deaf, got, changes.Load(), want)
			}
			time.Sleep(deaf)
		}
		cancel()
		<-ended
		if got := listens.Load(); got != 5 {
			t.Errorf("it has listened anew %d times", got)
		}
	})
}

// Where nobody can listen nobody tries again.
func TestWhereThereIsNoWayToListenNobodyDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keep(t.Context(), slog.New(slog.DiscardHandler), nil, func() (hearer, error) { return nil, errors.ErrUnsupported }, func() { t.Error("a change") })
	})
}
