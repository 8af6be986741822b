package xmppc2s_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
	"meshgate/xmppc2s/sm"
)

const limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>%s</max-bytes><idle-seconds>%s</idle-seconds></limits>"

// XEP-0478: what a server says that it does not take is not sent, and what
// comes behind it is.
func TestAStanzaAboveTheServersLimitIsGivenUp(t *testing.T) {
	s := newFake(t)
	c := xmppc2s.New(s.config())
	h := run(t, c)
	send := func(id string, size int) {
		t.Helper()
		st := chat("bob@example.org", strings.Repeat("x", size)).WithAttr("id", id)
		if err := c.Send(st); err != nil {
			t.Fatal(err)
		}
	}
	send("while offline", 20_000)
	conn := s.accept()
	conn.login(bindSM3 + fmt.Sprintf(limits, "20000", "1800"))
	conn.bound()
	conn.enabled("the-id")
	send("too large", 20_000)
	send("not too large", 19_000)
	conn.stanza("<message", "not too large")
	for _, id := range []string{"while offline", "too large"} {
		h.await(id, func(ev xmppc2s.Event) bool {
			u, ok := ev.(xmppc2s.Undelivered)
			return ok && u.Stanza.Attr("id") == id && errors.Is(u.Err, xmppc2s.ErrTooLarge)
		})
	}
}

func TestLimitsAreBelievedWithinReason(t *testing.T) {
	none := sm.Limits{}
	for _, tc := range []struct {
		bytes, idle string
		want        sm.Limits
	}{
		{"262144", "1800", sm.Limits{MaxStanza: 262144, Idle: 30 * time.Minute}},
		{" 10000\n", "10", sm.Limits{MaxStanza: 10000, Idle: 10 * time.Second}},
		{"1", "1", sm.Limits{MaxStanza: 10000, Idle: 10 * time.Second}},
		{"9223372036854775807", "9223372036854775807", sm.Limits{MaxStanza: 1 << 30, Idle: 24 * time.Hour}},
		{"0", "0", none}, {"-1", "-1", none}, {"", "", none}, {"99999999999999999999", "1e3", none}, {"<a>1</a>", "&#x31;x", none},
	} {
		el, err := stanza.Parse([]byte(fmt.Sprintf(limits, tc.bytes, tc.idle)), stanza.NSClient, stanza.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := xmppc2s.ParseLimits(el); got != tc.want {
			t.Errorf("%q, %q: %+v, want %+v", tc.bytes, tc.idle, got, tc.want)
		}
	}
}
