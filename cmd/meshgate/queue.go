package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"meshgate/bridge/status"
)

const queueHelp = `usage: meshgate queue list [-n 100] [-json] [-config FILE | -socket PATH]
       meshgate queue show [-config FILE | -socket PATH] SEQ
       meshgate queue drop [-config FILE | -socket PATH] SEQ
       meshgate queue retry [-config FILE | -socket PATH] [SEQ]

Asks the gateway that runs on this machine what waits for the XMPP server, the
oldest first, and does something about it.

  list   print a table: the number of each stanza, whether it is waiting, sent
         (and not acknowledged yet) or was set aside and why, what it is, to
         whom, how large, and for how long it has been here
  show   print one as it is sent; who may do that reads what people write
  drop   take one out for good; whoever wrote it on the LAN is told that it was
         not delivered. What is sent already cannot be taken back
  retry  have one that was set aside tried again; without a number, have the
         gateway connect to the server now and not only after the next pause

  SEQ           the number in the first column of the list
  -n COUNT      how many to list, the oldest (default 100)
  -json         print JSON
  -config FILE  the gateway's configuration, as for meshgate peers
  -socket PATH  where the gateway listens

exit codes: 0 it worked, 1 no gateway answers or it cannot be done, 2 the
command line is wrong, 78 the configuration is wrong
`

// defaultListed is how much of the queue is shown.
const defaultListed = 100

// A queueAction is what can be done about the queue.
type queueAction struct {
	do   func(context.Context, *options, *status.Client, process) error
	seq  bool // it wants a number
	none bool // and can do without
}

var queueActions = map[string]queueAction{
	"list":  {do: queueList},
	"show":  {do: queueShow, seq: true},
	"drop":  {do: queueDrop, seq: true},
	"retry": {do: queueRetry, seq: true, none: true},
}

func queueCommand(args []string, p process) int {
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		if a, ok := queueActions[args[0]]; ok {
			return queueDo(a, args[1:], p)
		}
		return usage(p, "queue", fmt.Sprintf("what is %q? It can be list, show, drop or retry", args[0]))
	}
	if _, code, done := parse("queue", args, p); done {
		return code
	}
	return usage(p, "queue", "what about it? Write list, show, drop or retry")
}

func queueDo(a queueAction, args []string, p process) int {
	o, code, done := parse("queue", args, p)
	if done {
		return code
	}
	if code = o.takeSeq(a, p); code != exitOK {
		return code
	}
	return o.ask(p, func(ctx context.Context, path string) int {
		if err := a.do(ctx, &o, status.Dial(path), p); err != nil {
			fmt.Fprintf(p.stderr, "meshgate queue: %s\n", controlWords(path, err))
			return exitFailed
		}
		return exitOK
	})
}

// takeSeq reads the number behind the flags.
func (o *options) takeSeq(a queueAction, p process) int {
	switch {
	case len(o.rest) > 0 && a.seq:
		seq, err := strconv.ParseUint(o.rest[0], 10, 64)
		if err != nil || seq == 0 {
			return usage(p, "queue", fmt.Sprintf("%q is no number of meshgate queue list", o.rest[0]))
		}
		o.seq, o.rest = seq, o.rest[1:]
	case a.seq && !a.none:
		return usage(p, "queue", "which one? Write its number in meshgate queue list")
	}
	if len(o.rest) > 0 {
		return usage(p, "queue", fmt.Sprintf("what is %q for?", o.rest[0]))
	}
	return exitOK
}

func queueList(ctx context.Context, o *options, c *status.Client, p process) error {
	q, err := c.Queue(ctx, o.count)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(p, q)
	}
	_, err = fmt.Fprint(p.stdout, queueTable(q, time.Now(), columns(p.stdout)))
	return err
}

var queueColumns = []column{{"SEQ", 3}, {"STATE", 7}, {"KIND", 4}, {"TO", 12}, {"BYTES", 5}, {"FOR", 3}, {"ID", 2}}

// queueTable draws what waits, each line at most so many columns wide.
func queueTable(q status.Waiting, now time.Time, columns int) string {
	if q.Total == 0 {
		return "nothing waits for the server\n"
	}
	var rows [][]string
	for _, x := range q.List {
		state := plain(x.State)
		if x.Reason != "" {
			state += ": " + plain(x.Reason)
		}
		seq := "-"
		if x.Seq != 0 {
			seq = strconv.FormatUint(x.Seq, 10)
		}
		rows = append(rows, []string{seq, state, plain(x.Kind), plain(x.To), strconv.Itoa(x.Bytes), age(now.Sub(x.Since)), plain(x.ID)})
	}
	text := drawTable(queueColumns, rows, columns)
	if more := q.Total - len(q.List); more > 0 {
		text += fmt.Sprintf("… and %d more\n", more)
	}
	return text
}

func queueShow(ctx context.Context, o *options, c *status.Client, p process) error {
	xml, err := c.QueuedStanza(ctx, o.seq)
	if err != nil {
		return err
	}
	if isTerminal(p.stdout) {
		xml = plain(xml)
	}
	_, err = fmt.Fprintln(p.stdout, xml)
	return err
}

func queueDrop(ctx context.Context, o *options, c *status.Client, p process) error {
	what := whatWaits(ctx, c, o.seq)
	if err := c.DropQueued(ctx, o.seq); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s is dropped: it will not be sent.%s\n", what.text, what.told)
	return nil
}

func queueRetry(ctx context.Context, o *options, c *status.Client, p process) error {
	what := described{text: "The gateway"}
	done := "tries to connect now, if it is not connected"
	if o.seq != 0 {
		what, done = whatWaits(ctx, c, o.seq), "waits for the server again"
	}
	if err := c.RetryQueued(ctx, o.seq); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s %s.\n", what.text, done)
	return nil
}

// A described is something that waits, in words.
type described struct{ text, told string }

// maxSought is how far into the queue one is looked for, to describe it.
const maxSought = 10000

// whatWaits says what has that number, as far as that can be told: the
// gateway itself will say if there is none.
func whatWaits(ctx context.Context, c *status.Client, seq uint64) described {
	d := described{text: fmt.Sprintf("Stanza %d", seq)}
	q, _ := c.Queue(ctx, maxSought) // an error comes again
	i := slices.IndexFunc(q.List, func(x status.Queued) bool { return x.Seq == seq })
	if i < 0 || q.List[i].Kind != "message" {
		return d
	}
	d.text = fmt.Sprintf("Message %d to %s", seq, plain(q.List[i].To))
	entries, _ := c.Trace(ctx, q.List[i].ID, 1)
	if q.List[i].ID != "" && len(entries) > 0 && entries[0].Peer != "" && entries[0].From == "lan" {
		d.told = fmt.Sprintf(" %s is told.", plain(entries[0].Peer))
	}
	return d
}
