package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of what is kept of a process.
const (
	maxOutput   = 256 << 20 // bytes of output kept; later lines are only counted
	maxLine     = 4 << 20   // bytes of one line; a longer one ends the reading
	lineCost    = 64        // bytes that a line takes beside its text
	reportLines = 150       // lines shown of it when a test fails
	reportLine  = 600       // bytes shown of each
)

// A Proc is a program in a host that is driven by lines: written to its
// standard input, awaited on its outputs. Expect and its kin are for the
// goroutine of the test; Signal, Lines and Report are safe from any.
type Proc struct {
	Name string

	host  *Host
	tb    TB
	cmd   *Cmd
	line  func(string) // Spec.Line
	out   io.Writer    // Spec.Out
	stdin *os.File
	begun time.Time
	done  chan struct{} // closed when it has ended and its output is all read

	mu      sync.Mutex
	lines   []line
	first   int // all lines before it have been had
	kept    int // bytes, those of dropped lines too
	dropped int
	changed chan struct{} // closed and replaced at every line
	err     error         // of Wait, valid once done
}

// A line is one line of output.
type line struct {
	at       time.Time
	text     string
	consumed bool // an Expect has had it
}

// Spec says what to start where the default does not do.
type Spec struct {
	Name string // for reports; default: the program and the host
	Args []string
	Env  []string          // added to the host's
	Line func(text string) // if set: is told of each line as it comes, from the goroutines that read, and does not block
	Out  io.Writer         // if set: is given the standard output, which then is no lines
}

// Start starts a program in the host. It ends with the lab at the latest.
func (h *Host) Start(name string, args ...string) *Proc {
	h.tb.Helper()
	return h.StartSpec(Spec{Args: append([]string{name}, args...)})
}

// StartSpec starts a program in the host.
func (h *Host) StartSpec(s Spec) *Proc {
	h.tb.Helper()
	if s.Name == "" {
		s.Name = filepath.Base(s.Args[0]) + "@" + h.Name
	}
	cmd := h.Command(context.Background(), s.Args[0], s.Args[1:]...)
	cmd.Env = append(cmd.Env, s.Env...)
	p := &Proc{Name: s.Name, host: h, tb: h.tb, cmd: cmd, line: s.Line, out: s.Out, begun: h.lab.start, done: make(chan struct{}), changed: make(chan struct{})}
	if err := p.start(); err != nil {
		h.tb.Fatalf("e2e: %s: %v", p.Name, err)
	}
	h.lab.register(p)
	return p
}

func (p *Proc) start() error {
	var theirs, ours [3]*os.File // standard input, output and error
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeFiles(theirs[:i])
			closeFiles(ours[:i])
			return err
		}
		theirs[i], ours[i] = w, r
		if i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	err := p.cmd.Start()
	closeFiles(theirs[:])
	if err != nil {
		closeFiles(ours[:])
		return err
	}
	p.stdin = ours[0]
	p.watch(ours[1], ours[2])
	return nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// watch reads both outputs and waits for the program's end.
func (p *Proc) watch(outR, errR *os.File) {
	var readers sync.WaitGroup
	readers.Go(func() { p.readOut(outR) })
	readers.Go(func() { p.read(errR) })
	go func() {
		err := p.cmd.Wait()
		// A daemon that it left behind may hold the pipes open: what the
		// program itself wrote is in them by now.
		late := time.Now().Add(time.Second)
		_ = outR.SetReadDeadline(late) // on a pipe it cannot fail
		_ = errR.SetReadDeadline(late)
		readers.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		p.stdin.Close()
		close(p.done)
	}()
}

func (p *Proc) readOut(r io.ReadCloser) {
	if p.out == nil {
		p.read(r)
		return
	}
	defer r.Close()
	if _, err := io.Copy(p.out, r); err != nil {
		p.add("e2e: the rest of the output is not read: " + err.Error())
	}
}

func (p *Proc) read(r io.ReadCloser) {
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		p.add(s.Text())
	}
	if err := s.Err(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.add("e2e: the rest of the output is not read: " + err.Error())
		_, _ = io.Copy(io.Discard, r) // so that the program does not wait for us
	}
}

func (p *Proc) add(text string) {
	if p.line != nil {
		p.line(text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept += len(text) + lineCost; p.kept <= maxOutput {
		p.lines = append(p.lines, line{at: time.Now(), text: text})
	} else {
		p.dropped++
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Pid is the program's process number on this machine.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Host is where it runs.
func (p *Proc) Host() *Host { return p.host }

// Send writes a line to the program's standard input. CloseInput ends it.
func (p *Proc) Send(format string, args ...any) {
	p.tb.Helper()
	_ = p.stdin.SetWriteDeadline(time.Now().Add(Patience)) // on a pipe it cannot fail
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		p.tb.Fatalf("e2e: %s: write: %v", p.Name, err)
	}
}

// Feed writes data to the program's standard input, at the speed at which it
// reads.
func (p *Proc) Feed(r io.Reader) {
	p.tb.Helper()
	if _, err := io.Copy(p.stdin, r); err != nil {
		p.tb.Fatalf("e2e: %s: write: %v", p.Name, err)
	}
}

// CloseInput ends the program's standard input.
func (p *Proc) CloseInput() { p.stdin.Close() }

// Expect waits for the first line, on either output, that matches the regular
// expression and that no earlier Expect has had; lines printed before the call
// count. It returns the match and its groups.
func (p *Proc) Expect(re string) []string {
	p.tb.Helper()
	return p.ExpectWithin(Patience, re)
}

// ExpectWithin is Expect with another limit than [Patience].
func (p *Proc) ExpectWithin(d time.Duration, re string) []string {
	p.tb.Helper()
	x := regexp.MustCompile(re)
	text, err := p.await(d, "a line like "+re, x.MatchString)
	if err != nil {
		p.tb.Fatalf("e2e: %v", err)
	}
	return x.FindStringSubmatch(text)
}

// Refute fails the test if a line that no Expect has had matches. It looks
// back only: await something that comes after what must not happen.
func (p *Proc) Refute(re string) {
	p.tb.Helper()
	x := regexp.MustCompile(re)
	if text, _, ok := p.take(x.MatchString, 0); ok {
		p.tb.Fatalf("e2e: %s: unwanted line: %s", p.Name, text)
	}
}

// Forget takes all lines so far as had: an Expect then waits for what is new.
func (p *Proc) Forget() {
	for ok := true; ok; {
		_, _, ok = p.take(func(string) bool { return true }, 0)
	}
}

// await waits for the first line that fits and has not been had, and takes it.
func (p *Proc) await(d time.Duration, what string, fits func(string) bool) (string, error) {
	limit := time.NewTimer(d)
	defer limit.Stop()
	ended := p.done
	for seen := 0; ; {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		text, n, ok := p.take(fits, seen)
		if ok {
			return text, nil
		}
		seen = n
		select {
		case <-changed:
		case <-ended:
			if text, _, ok := p.take(fits, seen); ok {
				return text, nil
			}
			return "", fmt.Errorf("%s: ended (%s) without %s", p.Name, p.status(), what)
		case <-limit.C:
			return "", fmt.Errorf("%s: no %s within %v", p.Name, what, d)
		}
	}
}

// awaitEvent waits for the first line that is an event, fits and was not had.
func awaitEvent[E any](p *Proc, d time.Duration, what string, parse func(string) (E, bool), fits func(E) bool) (got E) {
	p.tb.Helper()
	_, err := p.await(d, what, func(text string) (ok bool) {
		got, ok = parse(text)
		return ok && fits(got)
	})
	if err != nil {
		p.tb.Fatalf("e2e: %v", err)
	}
	return got
}

// awaitThat waits until something holds that lines of output change.
func (p *Proc) awaitThat(d time.Duration, what string, holds func() bool) {
	p.tb.Helper()
	limit := time.NewTimer(d)
	defer limit.Stop()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-p.done:
			if !holds() {
				p.tb.Fatalf("e2e: %s: ended (%s), and not: %s", p.Name, p.status(), what)
			}
			return
		case <-limit.C:
			p.tb.Fatalf("e2e: %s: not within %v: %s", p.Name, d, what)
		}
	}
}

// take marks and returns the first line from index from that fits and was not
// had, or says how many lines it has looked at.
func (p *Proc) take(fits func(string) bool, from int) (string, int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.first < len(p.lines) && p.lines[p.first].consumed {
		p.first++
	}
	for i := max(from, p.first); i < len(p.lines); i++ {
		if l := &p.lines[i]; !l.consumed && fits(l.text) {
			l.consumed = true
			return l.text, i + 1, true
		}
	}
	return "", len(p.lines), false
}

// Lines returns all output so far, had or not.
func (p *Proc) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := make([]string, len(p.lines))
	for i, l := range p.lines {
		texts[i] = l.text
	}
	return texts
}

// Count returns how many lines so far match.
func (p *Proc) Count(re string) int {
	x := regexp.MustCompile(re)
	n := 0
	for _, text := range p.Lines() {
		if x.MatchString(text) {
			n++
		}
	}
	return n
}

// Signal sends a signal to the program; one that has ended does not mind.
func (p *Proc) Signal(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // fails only on a process that has ended
}

// Wait waits for the program's end and returns its exit status, -1 after a
// signal.
func (p *Proc) Wait() int {
	p.tb.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.tb.Fatalf("e2e: %s: still runs after %v", p.Name, Patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the program to end (SIGTERM) and returns its exit status.
func (p *Proc) Stop() int {
	p.tb.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Kill ends the program at once (SIGKILL) and waits until it is gone.
func (p *Proc) Kill() {
	p.tb.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait()
}

// Ended is closed when the program is gone.
func (p *Proc) Ended() <-chan struct{} { return p.done }

func (p *Proc) status() string {
	select {
	case <-p.done:
	default:
		return "running"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err.Error()
	}
	return "exit status 0"
}

// Report returns the last lines of output, with seconds since the lab began.
func (p *Proc) Report() string {
	p.mu.Lock()
	lines, dropped := p.lines, p.dropped
	p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s (%s), %d lines, %d not kept\n", p.Name, p.status(), len(lines)+dropped, dropped)
	for _, l := range lines[max(0, len(lines)-reportLines):] {
		fmt.Fprintf(&b, "%7.3f %s\n", l.at.Sub(p.begun).Seconds(), l.text[:min(len(l.text), reportLine)])
	}
	return b.String()
}
