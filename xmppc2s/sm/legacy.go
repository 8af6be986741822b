package sm

import (
	"fmt"
	"strings"
	"time"

	"meshgate/internal/stanza"
)

// This file is what is different in the founding document, XEP-0198 v0.7, with
// the namespace urn:xmpp:sm:1. There are no counters on the wire. Each end
// numbers its requests, <r u='5'/>, as it likes, strictly increasing; h repeats
// the u of a request and acknowledges every stanza before it. An element may
// ask and answer at once: <r u='6' h='3'/>, <a h='3' u='6'/>.
//
//   - Our u is the number of the last stanza written before it. So h is again
//     how many of our stanzas are handled, and the queue is that of sm:3; but
//     nothing wraps.
//   - What we answer is the last u all stanzas before which are handled. An
//     earlier one must not be given: "The response MUST contain a value of 'h'
//     that is greater than or equal to the 'u' value given in the request" (§4).
//   - There is nothing to say unasked, and nothing to ask when all is
//     acknowledged: whether the server is there tells a ping, a stanza like any.
//   - A server that acknowledged nothing yet gives no h with <resumed/>.
//
// The examples of §7.1 answer with <a u='1'/>. That is a request by §4, and
// what acknowledges nothing cannot lose anything, so it is taken as one.

// A Request is a request of the server in sm:1: its u, as it was written, and
// the number of the last stanza before it. The zero Request is none.
type Request struct {
	U  string
	At uint32
}

// maxU bounds what is remembered of an integer without bounds.
const maxU = 40

// parseU reads the u attribute. It is only ever given back, so it stays as it is.
func parseU(el *stanza.Element) (string, error) {
	u := strings.TrimSpace(el.Attr("u"))
	digits := strings.TrimLeft(strings.TrimLeft(u, "-+"), "0123456789")
	if u == "" || len(u) > maxU || digits != "" || strings.TrimLeft(u, "-+") == "" {
		return "", fmt.Errorf("%w: u=%.50q in <%s/>", ErrBadAnswer, el.Attr("u"), el.Name.Local)
	}
	return u, nil
}

// handleLegacy takes an <r/> or an <a/> of sm:1.
func (e *Engine) handleLegacy(now time.Time, el *stanza.Element) error {
	asks, answers := el.Attr("u") != "", el.Attr("h") != ""
	if !asks && (!answers || el.Name.Local == "r") {
		return fmt.Errorf("%w: <%s/> without numbers", ErrBadAnswer, el.Name.Local)
	}
	if answers {
		if err := e.handleAnswer(now, el); err != nil {
			return err
		}
	}
	if !asks {
		return nil
	}
	u, err := parseU(el)
	if err != nil {
		return err
	}
	e.in.asked(u)
	return nil
}

// asked notes a request. It stands behind the stanzas received so far, and
// before those that a resumed stream has still to repeat; earlier requests at
// this place or behind it need no answer of their own.
func (in *inbound) asked(u string) {
	at := in.received() - in.skip
	for n := len(in.requests); n > 0 && int32(in.requests[n-1].At-at) >= 0; n-- {
		in.requests = in.requests[:n-1]
	}
	in.requests = append(in.requests, Request{U: u, At: at})
	in.reach()
}

// reach finds the last request all stanzas before which are handled.
func (in *inbound) reach() {
	for len(in.requests) > 0 && int32(in.handled-in.requests[0].At) >= 0 {
		in.reached, in.owed = in.requests[0], true
		in.requests = in.requests[1:]
	}
}

// appendLegacyRequest appends a request whose u is the number of the last
// stanza written. That must be one that was not asked about yet, so if there
// is none a ping is sent.
func (e *Engine) appendLegacyRequest(now time.Time, b []byte) []byte {
	if e.conn.unasked == 0 {
		_, _ = e.Enqueue(now, appendPing(nil, e.stats.Requests)) // it is a stanza
		it := &e.out.q[e.out.next]
		b = append(b, it.Data...)
		e.wrote(now, it)
	}
	e.conn.asked = e.out.acked + uint64(e.out.next)
	return fmt.Appendf(b, "<r xmlns='%s' u='%d'/>", string(e.id.dialect), e.conn.asked)
}

// legacyLocation is the host and port of the schema of v0.7, as a location.
func legacyLocation(enabled *stanza.Element) string {
	host, port := enabled.Attr("host"), enabled.Attr("port")
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if host == "" || port == "" {
		return host
	}
	return host + ":" + port
}
