package bridge

import (
	"errors"
	"strings"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// outcomeOf is how a peer's message ends that did not get through.
func outcomeOf(err error) Outcome {
	switch {
	case errors.Is(err, xmppc2s.ErrExpired):
		return Expired
	case errors.Is(err, xmppc2s.ErrDropped):
		return Dropped
	case errors.Is(err, xmppc2s.ErrDeadly):
		return Aside
	case errors.Is(err, xmppc2s.ErrQueueFull), errors.Is(err, xmppc2s.ErrNoRoom):
		return RefusedFull
	}
	return Bounced
}

// reason says in words why a peer's message did not get through.
func reason(err error) string {
	var st *stanza.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, xmppc2s.ErrQueueFull):
		return "too much is waiting for the server"
	case errors.Is(err, xmppc2s.ErrStopped):
		return "the gateway is stopping"
	case errors.Is(err, xmppc2s.ErrNoRoom):
		return "the gateway's disk is full or broken"
	case errors.Is(err, xmppc2s.ErrExpired):
		return "the server could not be reached for too long"
	case errors.Is(err, xmppc2s.ErrDeadly):
		return "the server breaks the connection over it"
	case errors.Is(err, xmppc2s.ErrDropped):
		return "the person who runs the gateway has taken it out of the queue"
	case errors.Is(err, xmppc2s.ErrTooLarge):
		return "it is larger than the server takes"
	case !errors.As(err, &st):
		return "the server did not take it"
	case st.Text != "":
		return "the other side says " + quote(rewrite.Line(st.Text, maxReason))
	}
	return strings.ReplaceAll(rewrite.Line(string(st.Condition), maxReason), "-", " ")
}

// reasonLAN says in words why a contact's message did not reach a peer. It
// never tells the network addresses of the LAN, which errors hold.
func reasonLAN(err error) string {
	switch {
	case errors.Is(err, linklocal.ErrNoPeer):
		return "gone"
	case errors.Is(err, linklocal.ErrNoContact), errors.Is(err, errNoMirror):
		return "the gateway could not show you there"
	case errors.Is(err, linklocal.ErrInsecure):
		return "its connection is not encrypted as it has to be"
	case errors.Is(err, linklocal.ErrSlow):
		return "its program does not read"
	case errors.Is(err, linklocal.ErrTooLarge):
		return "the message is too large"
	case errors.Is(err, linklocal.ErrQueueFull):
		return "too much is waiting for it"
	}
	return "no connection"
}
