package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

const streamHelp = `usage: meshgate stream send    -account JID -service JID [flags] FILE TO...
       meshgate stream receive -account JID [-service JID] [flags] [OUT]
       meshgate stream create  -account JID -service JID [-public N]
       meshgate stream invite  -account JID [-master] STREAM TO...
       meshgate stream send    -account JID -stream STREAM [flags] FILE [TO...]
       meshgate stream join    -account JID [flags] STREAM [OUT]
       meshgate stream who     -account JID [-json] STREAM
       meshgate stream stats   -account JID [-json] -service JID | STREAM

Sends something big to one or many at once, through a data stream proxy service
(XEP-0037), such as a gateway: it is uploaded once, and nobody sees the address
of anybody. This is for people, with accounts of their own, and needs no
gateway and no configuration here.

  send     create a stream, invite everybody, wait until all have come or
           declined, and send; or do so on a stream that create has made
  receive  wait for an invitation, accept it, and write what comes
  create   create a stream, and print its address, and where the service is;
           it waits for its creator to send for as long as the service says,
           mostly a minute
  invite   invite to a stream that create has made
  join     join a public stream at its public address, and write what comes
  who      list who is on a stream that create has made
  stats    list the public streams of a service, or tell of a stream

  FILE  what is sent; - is standard input
  TO    who gets it: an address with resource, or without one somebody who
        waits in meshgate stream receive
  OUT   a file, a directory, or - for standard output. By default receive
        writes to this directory, under the name that the sender gives, as far
        as that is safe, and join to standard output. What is incomplete or
        not what the sender has described is not kept

  -account JID         who you are
  -password-file FILE  the password; without it, it is in the environment
                       variable MESHGATE_PASSWORD
  -server HOST:PORT    your XMPP server, if DNS does not say where it is
  -ca-file FILE        the authority of its certificate, if not the system's
  -service JID         the service; receive takes no invitations of others
  -from JID            take invitations of this person only; needs -service,
                       since it is the service who says whose they are
  -stream STREAM       the address that create has printed first
  -at HOST:PORT        where its service is: what create has printed behind it
  -lan                 TO are names on the service's LAN, as in bob@h2
  -master              who is invited may send and invite, too
  -public N            so many may join without an invitation
  -wait TIME           how long to wait for receivers, or an invitation
                       (default 5m, receive: for ever)
  -tls                 encrypt the connection to the service; its certificate
                       is not checked
  -http                connect as a browser would, where nothing else gets out
  -max BYTES           the most to accept, as in 500M or 20G (default 64G)
  -force               replace OUT if it exists
  -q                   say nothing but what is wrong
  -json                print JSON

On a terminal it shows how far it is, how fast, and how long it still takes.

exit codes: 0 it worked, 1 it failed or was stopped, 2 the command line is wrong
`

// streamOptions are the flags of meshgate stream; each action has some of them.
type streamOptions struct {
	account, passwordFile, server, caFile string
	service, from, stream, at             string
	lan, master, force, quiet, json       bool
	public                                int
	wait                                  time.Duration
	max                                   int64
	method                                client.Method
	args                                  []string
}

// A streamAction is one thing that meshgate stream does.
type streamAction struct {
	do       func(*streamRun, context.Context) error
	flags    string // of its own, beside those of the account
	resource string // of the session; "": any
	least    int    // arguments …
	most     int
	missing  string // … and what to say if there are not so many
}

// Resources of sessions: people are invited where they wait, and a stream is
// known to its creator's full address only.
const (
	waitingResource = "stream"
	deskResource    = "stream-desk"
)

const (
	unlimited   = math.MaxInt
	defaultMax  = 64 << 30 // bytes that are received
	defaultCome = 5 * time.Minute
)

var streamActions = map[string]streamAction{
	"send":    {(*streamRun).send, "service stream at lan tls http wait q", "", 1, unlimited, "what, and to whom? Write a file and addresses"},
	"receive": {(*streamRun).receive, "service from tls http max force wait q", waitingResource, 0, 1, ""},
	"create":  {(*streamRun).create, "service public", deskResource, 0, 0, ""},
	"invite":  {(*streamRun).invite, "lan master", deskResource, 2, unlimited, "to what, and whom? Write the stream and addresses"},
	"join":    {(*streamRun).join, "tls http max force q", "", 1, 2, "which one? Write the public address of a stream"},
	"who":     {(*streamRun).who, "json", deskResource, 1, 1, "of which? Write the address of a stream"},
	"stats":   {(*streamRun).stats, "service json", deskResource, 0, 1, ""},
}

func streamCommand(args []string, p process) int { return streamWith(args, p, login) }

// streamWith is streamCommand with another way to log in.
func streamWith(args []string, p process, login loginFunc) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
			fmt.Fprint(p.stdout, streamHelp)
			return exitOK
		}
		return usage(p, "stream", "what about it? Write send, receive, create, invite, join, who or stats")
	}
	a, ok := streamActions[args[0]]
	if !ok {
		return usage(p, "stream", fmt.Sprintf("what is %q? It can be send, receive, create, invite, join, who or stats", args[0]))
	}
	o, err := a.parse(args[0], args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.stdout, streamHelp)
		return exitOK
	case err != nil:
		return usage(p, "stream", err.Error())
	}
	ctx, stop := p.untilSignal()
	defer stop()
	r := &streamRun{process: p, o: o, login: login, resource: a.resource}
	if err := a.do(r, ctx); err != nil {
		fmt.Fprintf(p.stderr, "meshgate stream: %s\n", streamWords(ctx, err))
		return exitFailed
	}
	return exitOK
}

// parse reads the command line of an action.
func (a streamAction) parse(name string, args []string) (*streamOptions, error) {
	o := &streamOptions{max: defaultMax}
	all := flag.NewFlagSet(name, flag.ContinueOnError)
	o.define(all)
	mine := flag.NewFlagSet(name, flag.ContinueOnError)
	mine.SetOutput(io.Discard)
	for _, f := range strings.Fields("account password-file server ca-file " + a.flags) {
		mine.Var(all.Lookup(f).Value, f, "")
	}
	if err := mine.Parse(args); err != nil {
		return nil, err
	}
	o.args = mine.Args()
	switch {
	case len(o.args) < a.least:
		return nil, errors.New(a.missing)
	case len(o.args) > a.most:
		return nil, fmt.Errorf("what is %q for?", o.args[a.most])
	}
	return o, o.check(name)
}

func (o *streamOptions) define(fs *flag.FlagSet) {
	for name, value := range map[string]*string{
		"account": &o.account, "password-file": &o.passwordFile, "server": &o.server, "ca-file": &o.caFile,
		"service": &o.service, "from": &o.from, "stream": &o.stream, "at": &o.at,
	} {
		fs.StringVar(value, name, "", "")
	}
	for name, value := range map[string]*bool{
		"lan": &o.lan, "master": &o.master, "force": &o.force, "q": &o.quiet, "json": &o.json,
		"tls": &o.method.TLS, "http": &o.method.HTTP,
	} {
		fs.BoolVar(value, name, false, "")
	}
	fs.IntVar(&o.public, "public", 0, "")
	fs.DurationVar(&o.wait, "wait", 0, "")
	fs.Func("max", "", func(s string) (err error) {
		o.max, err = parseBytes(s)
		return err
	})
}

// check says what is wrong with the flags taken together.
func (o *streamOptions) check(name string) error {
	if o.account == "" {
		return errors.New("who are you? Write -account user@example.org")
	}
	if _, err := parseAddress(o.account); err != nil {
		return fmt.Errorf("-account: %w", err)
	}
	for flag, s := range map[string]string{"-service": o.service, "-stream": o.stream, "-from": o.from} {
		if s == "" {
			continue
		}
		if _, err := parseJID(s); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	if o.wait < 0 || o.public < 0 {
		return errors.New("a number below zero makes no sense here")
	}
	return o.checkWith(name)
}

// checkWith says what is missing of what goes together.
func (o *streamOptions) checkWith(name string) error {
	switch {
	case name == "create" && o.service == "":
		return errors.New("where? Write -service and the address of the service")
	case name == "send" && (o.service == "") == (o.stream == ""):
		return errors.New("through what? Write -service and the address of the service, or -stream and what create has printed")
	case name == "send" && o.stream == "" && len(o.args) < 2:
		return errors.New("to whom? Write addresses behind the file")
	case name == "receive" && o.from != "" && o.service == "":
		return errors.New("-from needs -service: it is the service who says whose an invitation is")
	case name == "stats" && (o.service == "") == (len(o.args) == 0):
		return errors.New("of what? Write a stream, or -service for the public ones of a service")
	case name == "send" || name == "invite":
		_, err := o.to(1)
		return err
	}
	return nil
}

// to is whom the arguments name, from the nth on.
func (o *streamOptions) to(n int) (list []dsps.JID, err error) {
	for _, s := range o.args[n:] {
		if o.lan {
			list = append(list, dsps.JID(s))
			continue
		}
		j, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		if j.Resourcepart() == "" {
			if j, err = j.WithResource(waitingResource); err != nil {
				return nil, err
			}
		}
		list = append(list, dsps.JID(j.String()))
	}
	return list, nil
}

// parseBytes reads a number of bytes, as in 500M.
func parseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGT")
	power := strings.Index(" KMGT", s[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || power < 0 || len(s) > len(digits)+1 || n > math.MaxInt64>>(10*power) {
		return 0, errors.New("write a number of bytes, as in 500M or 20G")
	}
	return n << (10 * power), nil
}
