package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"meshgate/bridge/status"
)

// defaultTraced is how many messages meshgate trace shows.
const defaultTraced = 10

const traceHelp = `usage: meshgate trace [-n 10] [-json] [-config FILE | -socket PATH] [ID|PEER|JID]

Asks the gateway that runs on this machine what became of a message, or of the
last ones of a peer on the LAN, of a contact, or of all: when it came, from whom and to
whom, whether it still waits and where, when it was delivered, or which rule
refused it, or why it came back. What was said is not shown.

The gateway remembers that over restarts, for outbox.ttl and seven days more at
most, of about three times as many messages as outbox.messages.

  ID            the id of a message's stanza on the network, as logs have it
  PEER          a presence name, as in bob@h2
  JID           a contact's address
  -n COUNT      how many messages to show, the newest (default 10)
  -json         print JSON
  -config FILE  the gateway's configuration, as for meshgate peers
  -socket PATH  where the gateway listens

exit codes: 0 it worked, 1 no gateway answers or it knows of no such message,
2 the command line is wrong, 78 the configuration is wrong
`

// traceCommand says what became of messages.
func traceCommand(args []string, p process) int {
	o, code, done := parse("trace", args, p)
	if done {
		return code
	}
	return o.ask(p, func(ctx context.Context, path string) int {
		list, err := status.Dial(path).Trace(ctx, o.name, o.count)
		switch {
		case err != nil:
			fmt.Fprintf(p.stderr, "meshgate trace: %s\n", controlWords(path, err))
			return exitFailed
		case len(list) == 0 && o.name == "":
			fmt.Fprintln(p.stderr, "meshgate trace: no message is known")
			return exitFailed
		case len(list) == 0:
			fmt.Fprintf(p.stderr, "meshgate trace: no message is known with the id %q, nor of a peer or contact of that name\n", o.name)
			return exitFailed
		case o.json:
			err = writeJSON(p, list)
		default:
			_, err = fmt.Fprint(p.stdout, traceText(list))
		}
		if err != nil {
			return exitFailed
		}
		return exitOK
	})
}

// traceText tells the way of each message, the oldest first.
func traceText(list []status.Entry) string {
	var b strings.Builder
	for i, e := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		from, to := parties(e)
		fmt.Fprintf(&b, "from %s to %s", from, to)
		if e.ID != "" {
			fmt.Fprintf(&b, ", id %s", plain(e.ID))
		}
		fmt.Fprintf(&b, "\n  %s  came from the %s\n", traceTime(&e.Came), map[bool]string{true: "LAN", false: "network"}[e.From == "lan"])
		if e.Passed != nil {
			fmt.Fprintf(&b, "  %s  %s\n", traceTime(e.Passed), endWords(e, "delivered"))
		}
		fmt.Fprintf(&b, "  %s  %s\n", traceTime(e.Ended), endWords(e, e.End))
	}
	return b.String()
}

// parties are the two between whom the message is.
func parties(e status.Entry) (from, to string) {
	switch {
	case e.From == "lan":
		return tracedName(e.Peer), tracedName(e.Contact)
	case e.Contact == "": // of a message of the network that alone is not known
		return "somebody", "somebody"
	}
	return tracedName(e.Contact), tracedName(e.Peer)
}

// tracedName is a party to a message; the gateway is one too.
func tracedName(name string) string {
	if name == "" {
		return "the gateway"
	}
	return plain(name)
}

// traceTime is a time as all of them are shown, or now.
func traceTime(t *time.Time) string {
	const layout = time.DateTime
	if t == nil {
		return fmt.Sprintf("%-*s", len(layout), "now")
	}
	return t.Local().Format(layout)
}

// An ending is an outcome in words, for each direction.
type ending struct{ fromLAN, fromNetwork string }

// endings say what the sender was told only where it is.
var endings = map[string]ending{
	"delivered":        {"delivered: the server has acknowledged it", "delivered: written to the peer's stream"},
	"bounced":          {"came back, its sender was told", "could not be delivered, its sender was told"},
	"expired":          {"given up: it waited for the server as long as outbox.ttl allows; its sender was told", ""},
	"dropped":          {"taken out of the queue with meshgate queue drop, its sender was told", ""},
	"aside":            {"set aside: the server ends the stream over it (meshgate queue show, retry or drop); its sender was told", ""},
	"unsure":           {"the gateway was killed just then, and cannot tell whether the server has it; its sender was told", ""},
	"duplicate":        {"", "a repeat of one that was delivered before: not delivered again"},
	"answered":         {"a question to the gateway, which has answered it", "a question to the gateway, or for nobody in particular: the gateway has answered it"},
	"refused-stranger": {"refused: peers does not name this peer", "refused: its sender is no contact"},
	"refused-contact":  {"refused: this peer may not write to this contact, or there is none", ""},
	"refused-rate":     {"refused: too many in a short time (limits.peer_messages_per_minute)", "refused: too many in a short time (limits.contact_messages_per_minute)"},
	"refused-length":   {"refused: longer than limits.body", "refused: longer than limits.body"},
	"refused-type":     {"refused: no chat message", "refused: no chat message, or passed on by another gateway, or a message within a message"},
	"refused-sealed":   {"", "refused: it is encrypted, and nobody on the LAN could read it"},
	"refused-peer":     {"", "refused: the peer that it is for is gone, or unknown, or one of several of that name"},
	"refused-full":     {"refused: as many waited as outbox.messages allows, or the disk was full", "refused: too many were on their way to the LAN"},
}

// endWords say how a message ended, or where it is.
func endWords(e status.Entry, end string) string {
	if end == "pending" {
		return whereWords(e)
	}
	words := endings[end].fromNetwork
	if e.From == "lan" {
		words = endings[end].fromLAN
	}
	if words == "" {
		words = plain(end) // of a newer gateway
	}
	if e.Why != "" && end == e.End {
		words += " (" + plain(e.Why) + ")"
	}
	return words
}

// whereWords say where a message is that has not ended.
func whereWords(e status.Entry) string {
	switch {
	case e.From != "lan":
		return "on its way to the peer"
	case e.Queue == "sent":
		return "sent to the server, which has not acknowledged it yet"
	case e.Queue == "aside":
		return "set aside: " + plain(e.Reason) + " (meshgate queue retry, or drop)"
	}
	return "waits for the server"
}
