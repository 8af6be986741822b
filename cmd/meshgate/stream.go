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

	"meshgate/bridge/dsps/client"
)

const streamHelp = `usage: meshgate stream send    WHO [-service JID] [flags] FILE TO...
       meshgate stream receive WHO [flags] [OUT]
       meshgate stream create  WHO [-service JID] [-public N]
       meshgate stream invite  WHO [-master] [-wait TIME] STREAM TO...
       meshgate stream send    WHO -stream STREAM [flags] FILE [TO...]
       meshgate stream join    WHO [flags] PUBLIC [OUT]
       meshgate stream who     WHO [-json] STREAM
       meshgate stream stats   WHO [-json] [STREAM | -service JID]
  WHO: -lan [-as NAME], or -account JID

Sends something big to one or many at once, through a data stream proxy service
(XEP-0037), such as a gateway: it is uploaded once, and nobody sees the address
of anybody. This is for people, on the gateway's LAN or with accounts of their
own, and needs no gateway and no configuration here.

  send     create a stream, invite everybody, wait until all have come or
           declined, and send; or do so on a stream that create has made
  receive  wait for an invitation, accept it, and write what comes
  create   create a stream, and print its STREAM; it waits for its creator to
           send for as long as the service says, mostly a minute
  invite   invite to a stream of ours, and say who accepts, who declines, and who
           does not answer
  join     join a public stream at its public address, and write what comes
  who      list who is on a stream of ours, while send sends, too
  stats    list the public streams of a service, or tell of a stream of ours

  FILE    what is sent; - is standard input
  TO      who gets it, somebody who waits in meshgate stream receive: an address
          or, if there is no dot behind the @, a name on the service's LAN, as
          receive says it. An address with a resource is taken as it is
  OUT     a file, a directory, or - for standard output. By default receive
          writes to this directory, under the name that the sender gives, as far
          as that is safe, and join to standard output. What is incomplete or
          not what the sender has described is not kept
  STREAM  what create has printed, or send has said

  -lan                 you are on the LAN of a gateway, without an account. What
                       is said about the stream is not encrypted there
  -as NAME             what you are called there; by default your login name
                       and -stream: your own may be your chat client's
  -interface NAME      the network interface of that LAN, if not the first one;
                       may be repeated
  -account JID         who you are
  -password-file FILE  the password; without it, it is in the environment
                       variable MESHGATE_PASSWORD
  -server HOST:PORT    your XMPP server, if DNS does not say where it is
  -ca-file FILE        the authority of its certificate, if not the system's
  -service JID         the service; of a gateway its account is enough, and on
                       the LAN it is found. receive takes no invitations of
                       others
  -from JID            take invitations of this person only; with an account it
                       needs -service, since it is the service who says whose
                       they are
  -stream STREAM       the stream to send on
  -master              who is invited may send and invite, too
  -public N            so many may join without an invitation
  -wait TIME           how long to wait for receivers, their answers, or an
                       invitation (default 5m, receive: for ever)
  -tls                 encrypt the connection to the service; its certificate
                       is not checked
  -http                connect as a browser would, where nothing else gets out
  -max BYTES           the most to accept, as in 500M or 20G (default 64G)
  -force               replace OUT if it exists
  -q                   say nothing but what is wrong, and who does not come
  -json                print JSON

On a terminal it shows how far it is, how fast, and how long it still takes. A
connection that breaks before the first byte is made again. What is sent while
one is broken nobody gets any more: its receiver fails, the others go on.

exit codes: 0 it worked: everybody who came got all of it (send says who did not
come), and with invite everybody accepts; 1 it failed or was stopped, or somebody
declines or does not answer invite; 2 the command line is wrong
`

// streamOptions are the flags of meshgate stream; each action has some of them.
type streamOptions struct {
	account, passwordFile, server, caFile string
	as, service, from, stream             string
	interfaces                            []string
	lan, master, force, quiet, json       bool
	public                                int
	wait                                  time.Duration
	max                                   int64
	method                                client.Method
	args                                  []string
}

// A streamAction is one thing that meshgate stream does.
type streamAction struct {
	do      func(*streamRun, context.Context) error
	flags   string // of its own, beside those of who we are
	least   int    // arguments …
	most    int
	missing string // … and what to say if there are not so many
}

const (
	// streamWho are the flags that say who we are.
	streamWho   = "lan as interface account password-file server ca-file"
	unlimited   = math.MaxInt
	defaultMax  = 64 << 30 // bytes that are received
	defaultCome = 5 * time.Minute
)

var streamActions = map[string]streamAction{
	"send":    {(*streamRun).send, "service stream tls http wait q", 1, unlimited, "what, and to whom? Write a file and addresses"},
	"receive": {(*streamRun).receive, "service from tls http max force wait q", 0, 1, ""},
	"create":  {(*streamRun).create, "service public", 0, 0, ""},
	"invite":  {(*streamRun).invite, "master wait", 2, unlimited, "to what, and whom? Write the stream and addresses"},
	"join":    {(*streamRun).join, "tls http max force q", 1, 2, "which one? Write the public address of a stream"},
	"who":     {(*streamRun).who, "json", 1, 1, "of which? Write a stream, as create has printed it"},
	"stats":   {(*streamRun).stats, "service json", 0, 1, ""},
}

func streamCommand(args []string, p process) int {
	return streamWith(args, p, streamWays{login, joinMesh})
}

// streamWith is streamCommand with other ways to where the others are.
func streamWith(args []string, p process, ways streamWays) int {
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
	r := &streamRun{process: p, o: o, ways: ways}
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
	for _, f := range strings.Fields(streamWho + " " + a.flags) {
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
		"as": &o.as, "service": &o.service, "from": &o.from, "stream": &o.stream,
	} {
		fs.StringVar(value, name, "", "")
	}
	for name, value := range map[string]*bool{
		"lan": &o.lan, "master": &o.master, "force": &o.force, "q": &o.quiet, "json": &o.json,
		"tls": &o.method.TLS, "http": &o.method.HTTP,
	} {
		fs.BoolVar(value, name, false, "")
	}
	fs.Func("interface", "", func(s string) error {
		o.interfaces = append(o.interfaces, s)
		return nil
	})
	fs.IntVar(&o.public, "public", 0, "")
	fs.DurationVar(&o.wait, "wait", 0, "")
	fs.Func("max", "", func(s string) (err error) {
		o.max, err = parseBytes(s)
		return err
	})
}

// check says what is wrong with the flags taken together.
func (o *streamOptions) check(name string) error {
	if err := o.checkWho(); err != nil {
		return err
	}
	if o.wait < 0 || o.public < 0 {
		return errors.New("a number below zero makes no sense here")
	}
	if !o.lan {
		for flag, s := range map[string]string{"-service": o.service, "-from": o.from} {
			if s == "" {
				continue
			}
			if _, err := parseJID(s); err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
		}
	}
	return o.checkWith(name)
}

// checkWho says what is wrong with who we are.
func (o *streamOptions) checkWho() error {
	switch {
	case o.lan && (o.account != "" || o.passwordFile != "" || o.server != "" || o.caFile != ""):
		return errors.New("-lan is without an account; write one or the other")
	case o.lan:
		return nil
	case o.as != "" || len(o.interfaces) > 0:
		return errors.New("-as and -interface are for the LAN; write -lan, too")
	case o.account == "":
		return errors.New("who are you? Write -account user@example.org, or -lan on the LAN of a gateway")
	}
	if _, err := parseAddress(o.account); err != nil {
		return fmt.Errorf("-account: %w", err)
	}
	return nil
}

// checkWith says what is missing of what goes together. On the LAN the service
// is found.
func (o *streamOptions) checkWith(name string) error {
	somewhere := o.lan || o.service != ""
	switch {
	case name == "create" && !somewhere:
		return errors.New("where? Write -service and the address of the service")
	case name == "send" && o.stream == "" && !somewhere:
		return errors.New("through what? Write -service and the address of the service, or -stream and what create has printed")
	case name == "send" && o.stream != "" && o.service != "":
		return errors.New("-stream says where already; leave -service out")
	case name == "send" && o.stream == "" && len(o.args) < 2:
		return errors.New("to whom? Write addresses behind the file")
	case name == "receive" && o.from != "" && !somewhere:
		return errors.New("-from needs -service: it is the service who says whose an invitation is")
	case name == "stats" && !somewhere && len(o.args) == 0, name == "stats" && o.service != "" && len(o.args) > 0:
		return errors.New("of what? Write a stream, or -service for the public ones of a service")
	case !o.lan && (name == "send" || name == "invite"):
		_, err := o.receivers()
		return err
	}
	return nil
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
