package main

import "fmt"

// commands are those that meshgate help explains.
var commands = []string{"run", "check", "peers", "browse", "doctor", "trace", "queue", "rooms", "forget", "stream", "version", "help"}

// suggestCommand says what a mistyped command may have been meant for.
func suggestCommand(name string) string {
	for _, c := range commands {
		if distance(name, c) <= 2 {
			return "; did you mean " + c + "?"
		}
	}
	return ""
}

func helpCommand(args []string, p process) int {
	topic := ""
	if len(args) > 0 {
		topic = args[0]
	}
	text, ok := helpText[topic]
	if len(args) > 1 {
		return usage(p, "help", fmt.Sprintf("what is %q for?", args[1]))
	}
	if !ok {
		fmt.Fprintf(p.stderr, "meshgate help: there is no help about %q%s\nRun meshgate help for the commands.\n", topic, suggestCommand(topic))
		return exitUsage
	}
	fmt.Fprint(p.stdout, text)
	return exitOK
}

// helpText is what each command prints for -h.
var helpText = map[string]string{
	"": `meshgate lets people on a LAN's serverless chat (XEP-0174, "Bonjour") and
people on an XMPP server talk to each other.

usage: meshgate COMMAND [flags]

  run      run the gateway until SIGTERM or Ctrl-C
  check    read a configuration file and say what is wrong with it
  peers    list who is on the LAN, as the running gateway sees it
  browse   list who is on the LAN, without a gateway
  doctor   say what is wrong with this LAN and the server, and how to mend it
  trace    say what became of a message, or of those of a peer or contact
  queue    list what waits for the server, show, drop or retry it
  rooms    list the rooms, and who is in them
  forget   have the gateway trust a peer's next TLS key
  stream   send something big to one or many, or receive it
  version  print the version
  help     explain a command: meshgate help run

exit codes: 0 it worked, 1 it failed, 2 the command line is wrong,
78 the configuration is wrong
`,
	"run": `usage: meshgate run [-config FILE] [-v]

Runs the gateway until SIGTERM, SIGINT (Ctrl-C) or a failure. The LAN is told
goodbye first and the server comes last, so that what is under way still goes
out, as far as the configured grace allows. A second signal ends it at once.

  -config FILE  the configuration (default /etc/meshgate/meshgate.yaml)
  -v            log at level debug, whatever the configuration says

SIGUSR1 ends it for good: it logs out, and leaves its rooms, also where
account.on_stop says resumable. Else the others there miss it after 5 minutes.

SIGHUP reads the configuration again and logs whether it is good; what has
changed in it comes into force with the next start.

Log lines go to standard error: as text on a terminal, else as JSON.

exit codes: 0 stopped by a signal, 1 failed, 2 the command line is wrong,
78 the configuration is wrong
`,
	"check": `usage: meshgate check [-q] [FILE]
       meshgate check [-q] -config FILE

Reads a configuration (default /etc/meshgate/meshgate.yaml; - is standard
input) and says, line by line, what is wrong with it and what to do. It
connects to nothing. Warnings are about what works but is hardly meant, or
cannot be known before the gateway runs.

  -q  print nothing if the configuration is good

exit codes: 0 good, perhaps with warnings, 2 the command line is wrong,
78 the configuration is wrong
`,
	"peers": `usage: meshgate peers [-f] [-json] [-config FILE | -socket PATH]

Asks the gateway that runs on this machine who is on the LAN, and prints a
table: the presence name, the client (a guess), status and message, address,
interface, and for how long. The gateway's own mirrors are in it too.

  -f            go on, and show what changes: on a terminal the table is drawn
                again, else there is a line for each change (+ has come,
                ~ is different, - has gone)
  -json         print JSON; with -f a line for each change
  -config FILE  the gateway's configuration, whose key control says where the
                gateway listens (default /etc/meshgate/meshgate.yaml, or the
                default of the key where this user may not read that)
  -socket PATH  where the gateway listens

exit codes: 0 it worked, 1 no gateway answers, 2 the command line is wrong,
78 the configuration is wrong
`,
	"trace":  traceHelp,
	"queue":  queueHelp,
	"rooms":  roomsHelp,
	"stream": streamHelp,
	"forget": `usage: meshgate forget [-config FILE | -socket PATH] NAME

Has the gateway that runs on this machine forget the TLS key of a peer. The
gateway remembers the first key that each peer on the LAN shows and refuses
streams under the peer's name with another one, or without any: the log says
so. If the person behind that name really has a new computer or a new program,
forget the old key; the next one is trusted.

  NAME          the presence name, as in bob@h2
  -config FILE  the gateway's configuration, as for meshgate peers
  -socket PATH  where the gateway listens

exit codes: 0 it worked, 1 no gateway answers or it knows no such key, 2 the
command line is wrong, 78 the configuration is wrong
`,
	"browse": `usage: meshgate browse [-f] [-interface NAME] [-wait 3s] [-json]

Listens on the LAN and prints who is there, in the table of meshgate peers. It
needs no gateway and no configuration, publishes nothing, and works beside a
running gateway, whose mirrors it sees as everybody does.

  -f               go on, and show what changes, as meshgate peers -f
  -interface NAME  listen on this interface (default the first that can be
                   used); may be given several times
  -wait TIME       how long to listen before the table is printed (default 3s)
  -json            print JSON; with -f a line for each change

exit codes: 0 it worked, 1 it failed, 2 the command line is wrong
`,
	"doctor": `usage: meshgate doctor [-config FILE] [-socket PATH] [-interface NAME] [-wait 3s] [-json]

Looks at this machine, its LAN and the XMPP server, and says in words what is
wrong, each with a line on how to mend it: interfaces and addresses, the route
for multicast, UDP port 5353, firewalls, multicast that does not arrive (IGMP
snooping), networks that keep their clients apart, reflector loops, names that
others hold, the clock, and what the server does not offer.

It changes nothing and works beside a running gateway, whose session and names
it leaves alone, and which asks the server for it. Without a configuration it
looks at the LAN only. Where nobody is heard it asks each address of the
network, 254 of them at most.

  -config FILE     the configuration (default /etc/meshgate/meshgate.yaml)
  -socket PATH     where the gateway listens, if not as the configuration says
  -interface NAME  look at this interface, not at those of the configuration;
                   may be given several times
  -wait TIME       how long to listen on the LAN (default 3s)
  -json            print JSON

exit codes: 0 no fault, perhaps warnings, 1 there are faults, 2 the command
line is wrong, 78 the configuration is wrong
`,
	"version": `usage: meshgate version

Prints the version, the Go release that built it, and the platform.
`,
	"help": `usage: meshgate help [COMMAND]

Explains a command, or lists them.
`,
}
