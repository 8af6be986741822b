package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"meshgate/bridge/status"
	"meshgate/linklocal"
	"meshgate/linklocal/doctor"
	"meshgate/xmppc2s"
)

const (
	doctorLimit   = 15 * time.Second // for everything but listening
	gatewayLimit  = 2 * time.Second  // for the running gateway to answer
	surveyConnect = 4 * time.Second  // to each address of the server
	surveyLogin   = 8 * time.Second  // from there to the session
)

func doctorCommand(args []string, p process) int {
	o, code, done := parse("doctor", args, p)
	if done {
		return code
	}
	c, why := o.doctorConfig(p)
	if c != nil && c.errors() > 0 {
		c.write(p.stderr)
		return exitConfig
	}
	untold, stop := p.untilSignal()
	defer stop()
	ctx, cancel := context.WithTimeout(untold, doctorLimit+2*o.wait) // twice: see doctor.Look
	defer cancel()
	facts := o.gather(ctx, c, why)
	if untold.Err() != nil { // what was not waited for would look like faults
		fmt.Fprintln(p.stderr, "meshgate doctor: stopped before it knew enough")
		return exitFailed
	}
	findings := doctor.Judge(facts)
	if o.json {
		if err := writeJSON(p, findings); err != nil {
			return exitFailed
		}
	} else {
		fmt.Fprint(p.stdout, diagnosis(findings, columns(p.stdout)))
	}
	if doctor.Count(findings, doctor.Fault) > 0 {
		return exitFailed
	}
	return exitOK
}

// doctorConfig reads the configuration; nil, with the reason, if there is
// none. The LAN can be looked at without.
func (o *options) doctorConfig(p process) (c *config, why string) {
	if !o.configGiven {
		f, err := os.Open(o.config)
		if err != nil {
			return nil, o.config + ": " + openWords(err, false)
		}
		f.Close()
	}
	return load(o.config, p.host()), ""
}

// gather collects all facts: those of the LAN and of the server at once.
func (o *options) gather(ctx context.Context, c *config, why string) doctor.Facts {
	socket := defaults().Control
	look := doctor.Options{Wait: o.wait, IPv6: true}
	if c != nil {
		socket = c.controlPath()
		look.Interfaces, look.IPv6, look.Names = c.LAN.Interfaces, c.LAN.IPv6, c.namesOnLAN()
	}
	if o.socket != "" {
		socket = o.socket
	}
	if len(o.interfaces) > 0 {
		look.Interfaces = o.interfaces
	}
	g := askGateway(ctx, socket)
	look.Names.Running = g.Running
	server := doctor.Server{Skipped: why}
	var wg sync.WaitGroup
	wg.Go(func() {
		var found doctor.Server
		switch {
		// The gateway has the password in any case; this user may not.
		case g.Running && status.Dial(socket).Survey(ctx, &found) == nil:
			server = found
		case c != nil:
			server = c.askServer(ctx)
		}
	})
	f := doctor.Look(ctx, look)
	wg.Wait()
	f.Gateway, f.Server = g, server
	return f
}

// namesOnLAN are the names that the gateway wants for itself and its contacts.
func (c *config) namesOnLAN() doctor.Names {
	n := doctor.Names{Host: c.hostLabel()}
	add := func(user string) {
		n.Instances = append(n.Instances, string(linklocal.PresenceName(user, c.machine())))
	}
	add(c.Concierge.Name)
	for _, ct := range c.Contacts {
		add(ct.Name)
	}
	return n
}

// askGateway asks the running gateway, if there is one, how it is.
func askGateway(ctx context.Context, socket string) doctor.Gateway {
	if socket == "" {
		return doctor.Gateway{}
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayLimit)
	defer cancel()
	client := status.Dial(socket)
	r, err := client.Report(ctx)
	if err != nil {
		return doctor.Gateway{Closed: errors.Is(err, fs.ErrPermission)}
	}
	g := doctor.Gateway{Running: true, Online: r.Online, Server: strings.TrimPrefix(r.Server, "server: ")}
	peers, err := client.Peers(ctx)
	if err != nil {
		return g // it has just started, or is about to stop
	}
	for _, p := range peers {
		if p.Own != "" && !strings.EqualFold(p.Name, p.Wanted) {
			g.Renamed = append(g.Renamed, doctor.Renamed{Wanted: p.Wanted, Name: p.Name})
		}
	}
	return g
}

// askServer logs in beside the gateway's session and asks what there is.
func (c *config) askServer(ctx context.Context) doctor.Server {
	password, err := c.secret()
	if err != nil {
		return doctor.Server{Skipped: err.Error()}
	}
	cfg, err := c.serverConfig(password)
	if err != nil {
		return doctor.Server{Skipped: err.Error()}
	}
	cfg.DialTimeout, cfg.NegotiateTimeout = surveyConnect, surveyLogin
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := xmppc2s.Ask(ctx, cfg)
	if err != nil {
		return serverTrouble(err)
	}
	return doctor.Server{
		Asked: true, Addr: s.Addr, TLS: s.TLS, CertExpires: s.CertExpires,
		SM: s.SM, Resumable: s.Resumable, ResumeMax: s.ResumeMax,
		PEP: s.PEP, VCard: s.VCard, Blocking: s.Blocking, Carbons: s.Carbons, Archive: s.Archive, Ping: s.Ping, Rooms: s.Rooms,
		HasTime: s.HasTime, Ahead: s.Ahead,
	}
}

func serverTrouble(err error) doctor.Server {
	s := doctor.Server{Err: strings.TrimPrefix(err.Error(), "xmppc2s: ")}
	if e, ok := errors.AsType[*xmppc2s.Error](err); ok {
		s.Problem = e.Problem.String()
	}
	return s
}

// diagnosis writes findings for people.
func diagnosis(list []doctor.Finding, columns int) string {
	const indent = 9 // as wide as the longest severity and two blanks
	var b strings.Builder
	for _, f := range list {
		wrapped(&b, fmt.Sprintf("%-*s", indent, f.Severity), plain(f.Text), indent, columns)
		if f.Mend != "" {
			wrapped(&b, strings.Repeat(" ", indent)+"→ ", plain(f.Mend), indent+2, columns)
		}
	}
	b.WriteString("\n" + conclusion(list) + "\n")
	return b.String()
}

func conclusion(list []doctor.Finding) string {
	faults, warnings := doctor.Count(list, doctor.Fault), doctor.Count(list, doctor.Warning)
	switch {
	case faults == 0 && warnings == 0:
		return "All is well."
	case faults == 0:
		return "No fault, " + count(warnings, "warning") + "."
	case warnings == 0:
		return count(faults, "fault") + "."
	}
	return count(faults, "fault") + ", " + count(warnings, "warning") + "."
}

// wrapped writes words behind a head, in lines of so many columns.
func wrapped(w io.StringWriter, head, text string, indent, columns int) {
	line, used, empty := head, cells(head), true
	flush := func() { _, _ = w.WriteString(strings.TrimRight(line, " ") + "\n") } // a strings.Builder takes all
	for _, word := range strings.Fields(text) {
		n := cells(word)
		if !empty && used+1+n > columns {
			flush()
			line, used, empty = strings.Repeat(" ", indent), indent, true
		}
		if !empty {
			line += " "
			used++
		}
		line += word
		used += n
		empty = false
	}
	flush()
}
