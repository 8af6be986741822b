package sm

import (
	"fmt"
	"strings"
	"time"

	"meshgate/internal/stanza"
)

// Without stream management the answer to a ping acknowledges what was written
// before it: "An XMPP server MUST ensure in-order processing of the stanzas and
// other XML elements it receives over a given input stream from a connected
// client" (RFC 6120 §10.1). There is no session to resume, so what has no answer yet is
// sent again in the next one.

// pingID begins the id of a ping; its number is the rest.
const pingID = "alive-"

func appendPing(b []byte, n uint64) []byte {
	return fmt.Appendf(b, "<iq type='get' id='"+pingID+"%d'><ping xmlns='%s'/></iq>", n, stanza.NSPing)
}

// appendPingRequest asks for an acknowledgement of all that has been written.
func (e *Engine) appendPingRequest(b []byte) []byte {
	e.conn.asked = e.out.acked + uint64(e.out.next)
	return appendPing(b, e.stats.Requests)
}

// handlePong takes the answer to the last ping. It may be an error: it is the
// order that matters.
func (e *Engine) handlePong(now time.Time, b []byte) {
	if e.conn.requested.IsZero() || KindOf(b) != IQ || Attr(b, "id") != fmt.Sprintf(pingID+"%d", e.stats.Requests) {
		return
	}
	if t := Attr(b, "type"); t != "result" && t != "error" || !e.fromServer(Attr(b, "from")) {
		return
	}
	n := e.conn.asked - e.out.acked
	e.stats.Acked += n
	e.out.acked += n
	e.forget(int(n))
	e.answered(now)
	e.unaskedFrom(now)
}

// fromServer reports whether an answer comes from our own account or its
// server, rather than from somebody who has guessed what we asked.
func (e *Engine) fromServer(from string) bool {
	bare, _, _ := strings.Cut(e.id.jid, "/")
	_, domain, _ := strings.Cut(bare, "@")
	return from == "" || from == bare || from == domain || from == e.id.jid
}
