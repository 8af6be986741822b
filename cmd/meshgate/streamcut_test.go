package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// DS-05: a connection that breaks before the first byte is made again, at both ends;
// nothing is missing.
func TestAConnectionThatBreaksEarlyIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]int{"the receiver's": 1, "both": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newExchange(t)
			file, content := writeFile(t, "a.bin", 1<<20)
			bob := x.start(nil, args("receive -account bob@example.org -")...)
			bob.says(t, "waiting for")
			slow := x.enter("carol@example.org/stream") // and as long as she does not answer, nothing is sent
			sender := x.start(nil, args("send -account alice@example.org -service "+streamService, file, "bob@example.org", "carol@example.org")...)
			sender.says(t, "bob@example.org/stream is ready")
			x.cut(cut)
			bob.says(t, "the connection broke; connecting again")
			sender.says(t, "bob@example.org/stream was cut off")
			if cut == 2 {
				sender.says(t, "the connection broke; connecting again")
			}
			slow.declines(t)
			sender.ends(t, exitOK)
			if got := bob.ends(t, exitOK).stdout.String(); got != string(content) {
				t.Errorf("bob got %d bytes", len(got))
			}
		})
	}
}

// DS-05: what is sent while a connection is broken is gone: its receiver fails, its
// sender says who it is, and the other one gets all.
func TestWhoIsCutOffHasNotGotAll(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	receivers := map[string]*call{}
	for _, who := range []string{"bob@example.org", "carol@example.org"} {
		receivers[who] = x.start(nil, args("receive -account "+who+" -")...)
		receivers[who].says(t, "waiting for")
	}
	in, out := io.Pipe()
	sender := x.start(in, args("send -account alice@example.org -service "+streamService, "-", "bob@example.org", "carol@example.org")...)
	for who := range receivers {
		sender.says(t, who+"/stream is ready")
	}
	if _, err := io.WriteString(out, "the beginning"); err != nil {
		t.Fatal(err)
	}
	for _, c := range receivers {
		c.gets(t, "the beginning")
	}
	x.cut(1)
	sender.says(t, "/stream was cut off, and has not got all")
	if _, err := io.WriteString(out, ", and the rest"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if c := sender.ends(t, exitFailed); !strings.Contains(c.stderr.String(), "not everybody has got all: ") {
		t.Errorf("%s", &c.stderr)
	}
	for who, c := range receivers {
		if strings.Contains(sender.stderr.String(), who+"/stream was cut off") {
			c.ends(t, exitFailed)
		} else if got := c.ends(t, exitOK).stdout.String(); got != "the beginning, and the rest" {
			t.Errorf("%s got %q", who, got)
		}
	}
}

// begin has alice say the beginning of something to bob, who keeps it in dir; the
// rest does not come.
func (x *exchange) begin(t *testing.T, dir string) (sender, bob *call) {
	t.Helper()
	bob = x.start(nil, args("receive -account bob@example.org", dir)...)
	bob.says(t, "waiting for")
	in, out := io.Pipe()
	t.Cleanup(func() { out.Close() })
	sender = x.start(in, args("send -account alice@example.org -service "+streamService, "-", "bob@example.org")...)
	sender.says(t, "bob@example.org/stream is ready")
	if _, err := io.WriteString(out, "the beginning"); err != nil {
		t.Fatal(err)
	}
	return sender, bob
}

// DS-15: a sender that stops drops the others: they would take what they have for all.
func TestASenderThatStopsSaysSo(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	dir := t.TempDir()
	sender, bob := x.begin(t, dir)
	sender.signals <- os.Interrupt
	sender.ends(t, exitFailed)
	if c := bob.ends(t, exitFailed); !strings.Contains(c.stderr.String(), "meshgate stream: the sender has given up on us: not all was sent\n") {
		t.Errorf("%s", &c.stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A sender to whom nothing more is said ends when nobody is left, too.
func TestASenderDoesNotWaitForNobody(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	sender, bob := x.begin(t, t.TempDir())
	bob.signals <- os.Interrupt
	bob.ends(t, exitFailed)
	if c := sender.ends(t, exitFailed); !strings.Contains(c.stderr.String(), "meshgate stream: nobody receives any more\n") {
		t.Errorf("%s", &c.stderr)
	}
}
