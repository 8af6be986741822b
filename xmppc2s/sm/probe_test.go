package sm

import (
	"errors"
	"testing"
	"time"
)

// SM-13: a connection that is in doubt is asked at once, and is dead if nothing
// comes soon.
func TestAProbeFindsADeadConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		dialect Dialect
		wait    string // a stanza that is in flight, and asked for
		want    string // what is written
	}{
		"idle":                      {V3, "", request},
		"asked already":             {V3, m(1), ""},
		"without stream management": {None, "", "<iq type='get' id='alive-1'><ping xmlns='urn:xmpp:ping'/></iq>"},
	} {
		t.Run(name, func(t *testing.T) {
			e := active(t, Policy{RequestEvery: 1}, 0)
			if tc.dialect == None {
				e.Lost(Broken)
				e.Bound(t0, Binding{})
			}
			if tc.wait != "" {
				enqueue(t, e, t0, tc.wait)
				wantWrite(t, "before", e, t0, tc.wait+request)
			}
			e.Probe(at(time.Second))
			wantWrite(t, "probe", e, at(time.Second), tc.want)
			if next := e.NextTimeout(); !next.Equal(at(6 * time.Second)) {
				t.Errorf("wakes at %v", next.Sub(t0))
			}
			e.Probe(at(2 * time.Second)) // once more is not later
			if err := e.HandleTimeout(at(6*time.Second - 1)); err != nil {
				t.Errorf("given up early: %v", err)
			}
			if err := e.HandleTimeout(at(6 * time.Second)); !errors.Is(err, ErrAckTimeout) {
				t.Errorf("not given up: %v", err)
			}
		})
	}
}

func TestAnythingEndsAProbe(t *testing.T) {
	e := active(t, Policy{}, 0)
	e.Probe(t0)
	wantWrite(t, "probe", e, t0, request)
	feed(t, e, at(time.Second), m(1))
	if err := e.HandleTimeout(at(10 * time.Second)); err != nil {
		t.Errorf("given up though it lives: %v", err)
	}
	if !e.ProbeEnds().IsZero() {
		t.Error("the probe goes on")
	}
	e.Lost(Broken)
	e.Probe(at(11 * time.Second))
	if !e.ProbeEnds().IsZero() || !e.NextTimeout().IsZero() {
		t.Error("a probe without connection")
	}
}

// Nothing arrives where nothing is read.
func TestAProbeWaitsForTheReader(t *testing.T) {
	e := active(t, Policy{MaxInbound: 1}, 0)
	feed(t, e, t0, m(1))
	e.Probe(t0)
	e.AppendWrite(t0, nil)
	if err := e.HandleTimeout(at(6 * time.Second)); err != nil {
		t.Errorf("given up while nobody reads: %v", err)
	}
	e.Take(1)
	if err := e.HandleTimeout(at(7 * time.Second)); err != nil {
		t.Errorf("given up at once: %v", err)
	}
	if err := e.HandleTimeout(at(11 * time.Second)); !errors.Is(err, ErrAckTimeout) {
		t.Errorf("not given up: %v", err)
	}
}
