package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// DS-08: who invites is told of each that accepts, declines, is not there, or does
// not answer in time, and has it in the exit code.
func TestInviteSaysWhoComes(t *testing.T) {
	x := newExchange(t)
	stream := strings.TrimSpace(x.start(nil, args("create -account alice@example.org -service "+streamService)...).ends(t, exitOK).stdout.String())
	x.start(nil, args("receive -account bob@example.org -")...).says(t, "waiting for")
	x.enter("silent@example.org/stream")
	carol := x.enter("carol@example.org/stream")
	// Nobody waits for long: all but one have answered by then.
	c := x.start(nil, args("invite -account alice@example.org -wait 1500ms", stream, "bob@example.org", "carol@example.org", "silent@example.org", "nobody@example.org")...)
	carol.declines(t)
	lines := strings.Split(strings.TrimSpace(c.ends(t, exitFailed).stdout.String()), "\n")
	slices.Sort(lines)
	want := []string{
		"bob@example.org/stream accepts", "carol@example.org/stream declines, or is not there",
		"nobody@example.org/stream declines, or is not there", "silent@example.org/stream did not answer",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("said %q", lines)
	}
	if !strings.HasSuffix(c.stderr.String(), "meshgate stream: 3 of 4 do not come\n") {
		t.Errorf("%s", &c.stderr)
	}
}

// Whom the service does not let us invite is named; the others are invited.
func TestInviteSaysWhoCannotBeInvited(t *testing.T) {
	x := newExchange(t)
	stream := strings.TrimSpace(x.start(nil, args("create -account alice@example.org -service "+streamService)...).ends(t, exitOK).stdout.String())
	x.start(nil, args("receive -account bob@example.org -")...).says(t, "waiting for")
	c := x.start(nil, args("invite -account alice@example.org", stream, "mallory@example.org", "bob@example.org")...).ends(t, exitFailed)
	for _, want := range []string{"mallory@example.org/stream cannot be invited: ", "bob@example.org/stream accepts\n"} {
		if !strings.Contains(c.stdout.String(), want) {
			t.Errorf("no %q in %s", want, &c.stdout)
		}
	}
}

// Ctrl-C ends a command that waits for somebody who writes to a named pipe.
func TestSignalEndsWaitingForAPipe(t *testing.T) {
	x := newExchange(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	send := args("send -account alice@example.org -service "+streamService, pipe, "bob@example.org")
	c := x.start(nil, send...)
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // it waits there
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	c.ends(t, exitFailed) // bob is not there
	c = x.start(nil, send...)
	c.signals <- os.Interrupt
	if c.ends(t, exitFailed); c.stderr.String() != "meshgate stream: stopped\n" {
		t.Errorf("%s", &c.stderr)
	}
	if w, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		w.Close() // lets go what was left behind
	}
}
