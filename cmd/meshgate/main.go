// Command meshgate is a gateway between a LAN's serverless XMPP mesh
// (XEP-0174) and an XMPP server. See meshgate help.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"meshgate/bridge/status"
)

// Exit codes, as meshgate help says.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG of sysexits(3): trying again is useless
)

const defaultConfig = "/etc/meshgate/meshgate.yaml"

// version is set by the linker: -X main.version=v1.2.3.
var version string

// A process is what a command sees of the operating system.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	signals        <-chan os.Signal // SIGINT, SIGTERM, SIGUSR1 (for good): stop, then kill; SIGHUP: check again
	kill           func(code int)   // os.Exit
}

func main() {
	tuneHeap()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP)
	os.Exit(realMain(os.Args[1:], process{os.Stdin, os.Stdout, os.Stderr, os.Getenv, signals, os.Exit}))
}

// realMain runs the command line and returns the exit code.
func realMain(args []string, p process) int {
	if len(args) == 0 {
		fmt.Fprint(p.stderr, helpText[""])
		return exitUsage
	}
	switch name, rest := args[0], args[1:]; name {
	case "run":
		return runCommand(rest, p)
	case "check":
		return checkCommand(rest, p)
	case "peers":
		return peersCommand(rest, p)
	case "browse":
		return browseCommand(rest, p)
	case "doctor":
		return doctorCommand(rest, p)
	case "trace":
		return traceCommand(rest, p)
	case "queue":
		return queueCommand(rest, p)
	case "rooms":
		return roomsCommand(rest, p)
	case "forget":
		return forgetCommand(rest, p)
	case "stream":
		return streamCommand(rest, p)
	case "version", "-version", "--version":
		return versionCommand(rest, p)
	case "help", "-h", "-help", "--help":
		return helpCommand(rest, p)
	default:
		fmt.Fprintf(p.stderr, "meshgate: there is no command %q%s\nRun meshgate help for the commands.\n", name, suggestCommand(name))
		return exitUsage
	}
}

// options are the flags of the commands; each has some of them.
type options struct {
	config      string
	configGiven bool
	verbose     bool
	quiet       bool
	follow      bool
	json        bool
	socket      string
	name        string
	seq         uint64
	count       int
	rest        []string // queue: what stands behind the flags
	interfaces  []string
	wait        time.Duration
}

// parse reads the flags of a command. If done, the command ends with the code.
func parse(name string, args []string, p process) (o options, code int, done bool) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.declare(fs, name)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.stdout, helpText[name])
		return o, exitOK, true
	case err != nil:
		return o, usage(p, name, err.Error()), true
	}
	if o.wait <= 0 || o.wait > maxWait {
		return o, usage(p, name, fmt.Sprintf("-wait %v: it can be up to %v, and has to be more than nothing", o.wait, maxWait)), true
	}
	if wrong := o.take(name, fs.Args()); wrong != "" {
		return o, usage(p, name, wrong), true
	}
	o.configGiven = o.config != ""
	if !o.configGiven {
		o.config = defaultConfig
	}
	return o, 0, false
}

// declare says which flags a command has.
func (o *options) declare(fs *flag.FlagSet, name string) {
	fs.StringVar(&o.config, "config", "", "")
	o.wait, o.count = defaultWait, map[string]int{"trace": defaultTraced, "queue": defaultListed}[name]
	switch name {
	case "run":
		fs.BoolVar(&o.verbose, "v", false, "")
	case "check":
		fs.BoolVar(&o.quiet, "q", false, "")
	case "peers":
		fs.StringVar(&o.socket, "socket", "", "")
		fs.BoolVar(&o.follow, "f", false, "")
		fs.BoolVar(&o.json, "json", false, "")
	case "forget":
		fs.StringVar(&o.socket, "socket", "", "")
	case "rooms":
		fs.StringVar(&o.socket, "socket", "", "")
		fs.BoolVar(&o.json, "json", false, "")
	case "trace", "queue":
		fs.StringVar(&o.socket, "socket", "", "")
		fs.BoolVar(&o.json, "json", false, "")
		fs.Func("n", "", o.setCount)
	case "browse":
		fs.BoolVar(&o.follow, "f", false, "")
		fs.BoolVar(&o.json, "json", false, "")
		fs.DurationVar(&o.wait, "wait", defaultWait, "")
		fs.Func("interface", "", o.addInterface)
	case "doctor":
		fs.StringVar(&o.socket, "socket", "", "")
		fs.BoolVar(&o.json, "json", false, "")
		fs.DurationVar(&o.wait, "wait", defaultWait, "")
		fs.Func("interface", "", o.addInterface)
	}
}

// take takes the words behind the flags. It returns what is wrong with them.
func (o *options) take(name string, rest []string) string {
	if name == "check" && len(rest) > 0 && o.config == "" {
		o.config, rest = rest[0], rest[1:]
	}
	switch {
	case name == "forget" && len(rest) == 0:
		return "whose key? Write the presence name, as in bob@h2"
	case name == "forget", name == "trace" && len(rest) > 0:
		o.name, rest = rest[0], rest[1:]
	case name == "queue":
		o.rest, rest = rest, nil
	}
	if len(rest) > 0 {
		return fmt.Sprintf("what is %q for?", rest[0])
	}
	return ""
}

// defaultWait is how long browse and doctor listen.
const (
	defaultWait = 3 * time.Second
	maxWait     = time.Minute
)

// addInterface takes one of several flags -interface.
func (o *options) addInterface(name string) error {
	if name == "" {
		return errors.New("no name")
	}
	o.interfaces = append(o.interfaces, name)
	return nil
}

// setCount takes the flag -n.
func (o *options) setCount(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > status.MaxEntries {
		return fmt.Errorf("write a number from 1 to %d", status.MaxEntries)
	}
	o.count = n
	return nil
}

// usage says what is wrong with a command line.
func usage(p process, name, text string) int {
	fmt.Fprintf(p.stderr, "meshgate %s: %s\nRun meshgate help %s for how it is used.\n", name, text, name)
	return exitUsage
}

func (p process) host() host { return host{stdin: p.stdin, getenv: p.getenv, name: os.Hostname} }

func checkCommand(args []string, p process) int {
	o, code, done := parse("check", args, p)
	if done {
		return code
	}
	c := load(o.config, p.host())
	c.write(p.stderr)
	if n := c.errors(); n > 0 {
		fmt.Fprintf(p.stderr, "%s: %s\n", c.file, count(n, "error"))
		return exitConfig
	}
	if !o.quiet {
		fmt.Fprintf(p.stdout, "%s: ok%s\n", c.file, c.summary())
	}
	return exitOK
}

// summary says in a few words what the configuration does.
func (c *config) summary() string {
	s := fmt.Sprintf(": %s is the gateway, %s", c.Account.JID, count(len(c.Contacts), "contact"))
	if n := len(c.list); n > 0 {
		s += ", " + count(n, "warning")
	}
	return s
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func versionCommand(args []string, p process) int {
	if len(args) > 0 {
		return usage(p, "version", fmt.Sprintf("what is %q for?", args[0]))
	}
	fmt.Fprintf(p.stdout, "meshgate %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// buildVersion is what the linker or, without it, the module system knows.
func buildVersion() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "(devel)"
}
