package xmppc2s_test

import (
	"errors"
	"testing"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// Two errands of two people exchange questions by their full addresses, though
// neither has sent presence, and what nobody knows is refused.
func TestErrandsAskEachOther(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		alice, bob := newErrand(t, s, "alice", "a"), newErrand(t, s, "bob", "b")
		for _, tt := range []struct{ ns, want string }{{"urn:known", "result"}, {"urn:unknown", "error"}} {
			if err := alice.Send(iq("get", "q-"+tt.want, bob.Address(), stanza.New(tt.ns, "query"))); err != nil {
				t.Fatal(err)
			}
			got := <-alice.answers
			if got.Attr("type") != tt.want || got.Attr("id") != "q-"+tt.want || got.Attr("from") != bob.Address() {
				t.Errorf("answered %s", got)
			}
		}
		alice.Close()
		if err := <-alice.ended; err == nil {
			t.Error("the session ended and Run does not say so")
		}
	})
}

// An errander is an Errand that knows one question.
type errander struct {
	*xmppc2s.Errand
	answers chan *stanza.Element
	ended   chan error
}

func newErrand(t *testing.T, s *e2e.Server, user, password string) *errander {
	t.Helper()
	e, err := xmppc2s.Login(t.Context(), account(t, s, user, password))
	if err != nil {
		t.Fatal(err)
	}
	x := &errander{e, make(chan *stanza.Element, 10), make(chan error, 1)}
	go func() { x.ended <- e.Run(x.handle) }()
	t.Cleanup(e.Close)
	return x
}

func (x *errander) handle(el *stanza.Element) bool {
	switch typ := el.Attr("type"); {
	case typ == "result" || typ == "error":
		x.answers <- el
		return true
	case el.Child("urn:known", "query") != nil:
		return x.Send(iq("result", el.Attr("id"), el.Attr("from"))) == nil
	}
	return false
}

func iq(typ, id, to string, parts ...stanza.Part) *stanza.Element {
	parts = append([]stanza.Part{
		stanza.Attr{Name: "type", Value: typ}, stanza.Attr{Name: "id", Value: id}, stanza.Attr{Name: "to", Value: to},
	}, parts...)
	return stanza.New(stanza.NSClient, "iq", parts...)
}

func TestWrongPasswordIsSaidOfAnErrand(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		_, err := xmppc2s.Login(t.Context(), account(t, s, "alice", "no such"))
		if e, ok := errors.AsType[*xmppc2s.Error](err); !ok || e.Problem != xmppc2s.WrongLogin {
			t.Errorf("%v", err)
		}
	})
}
