package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
	"meshgate/internal/stanza"
)

// DS-17: a file goes to two people by one command, and arrives under its name.
func TestFileIsSentToTwo(t *testing.T) {
	x := newExchange(t)
	file, content := writeFile(t, "report.pdf", 3<<20)
	var receivers []*call
	var dirs []string
	for _, who := range []string{"bob", "carol"} {
		dirs = append(dirs, t.TempDir())
		receivers = append(receivers, x.start(nil, args("receive -account "+who+"@example.org -service "+streamService+" -from alice@example.org", dirs[len(dirs)-1])...))
		x.await(who + "@example.org/stream")
	}
	sent := x.start(nil, args("send -account alice@example.org -service "+streamService, file, "bob@example.org", "carol@example.org/stream")...).ends(t, exitOK)
	for i, r := range receivers {
		r.ends(t, exitOK)
		got, err := os.ReadFile(filepath.Join(dirs[i], "report.pdf"))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("receiver %d: %d bytes, %v", i, len(got), err)
		}
		if list, _ := os.ReadDir(dirs[i]); len(list) != 1 {
			t.Errorf("receiver %d: there are also other files: %v", i, list)
		}
		if s := r.stderr.String(); !strings.Contains(s, "alice@example.org sends report.pdf, 3.0 MiB\n") || !strings.Contains(s, "received 3.0 MiB in ") {
			t.Errorf("receiver %d: %s", i, s)
		}
	}
	if s := sent.stderr.String(); !strings.Contains(s, "waiting for 2 receivers\n") || !strings.Contains(s, "sent 3.0 MiB in ") {
		t.Errorf("the sender was told %s", s)
	}
}

func TestPipes(t *testing.T) {
	x := newExchange(t)
	for _, method := range []string{"", "-http"} {
		content := strings.Repeat("line\n", 1<<16)
		r := x.start(nil, args("receive -q -account bob@example.org "+method, "-")...)
		x.await("bob@example.org/stream")
		x.start(strings.NewReader(content), args("send -q -account alice@example.org "+method+" -service "+streamService, "-", "bob@example.org")...).ends(t, exitOK)
		if got := r.ends(t, exitOK).stdout.String(); got != content || r.stderr.String() != "" {
			t.Errorf("%d bytes, %s", len(got), &r.stderr)
		}
	}
}

// A stream that one command has created, others invite to, ask about and send on.
func TestStreamInSteps(t *testing.T) {
	x := newExchange(t)
	file, content := writeFile(t, "a.bin", 1<<20)
	stream := strings.TrimSpace(x.start(nil, args("create -account alice@example.org -public 2 -service "+streamService)...).ends(t, exitOK).stdout.String())
	bob := x.start(nil, args("receive -account bob@example.org -")...)
	x.await("bob@example.org/stream")
	if s := x.start(nil, args("invite -account alice@example.org", stream, "bob@example.org")...).ends(t, exitOK).stdout.String(); s != "bob@example.org/stream accepts\n" {
		t.Errorf("invite: %s", s)
	}

	if s := x.start(nil, args("who -account alice@example.org", stream)...).ends(t, exitOK).stdout.String(); !strings.Contains(s, "bob@example.org/stream") || !strings.Contains(s, "alice@example.org/stream-") {
		t.Errorf("who: %s", s)
	}
	if s := x.start(nil, args("stats -account alice@example.org -json", stream)...).ends(t, exitOK).stdout.String(); !strings.Contains(s, `"masters": 1,`) {
		t.Errorf("stats: %s", s)
	}
	listed := x.start(nil, args("stats -account carol@example.org -service "+streamService)...).ends(t, exitOK).stdout.String()
	rows := strings.Split(listed, "\n")
	if len(rows) != 3 || !strings.Contains(rows[1], "0 of 2") {
		t.Fatalf("public streams: %s", listed)
	}
	public := strings.Fields(rows[1])[0]
	carol := x.start(nil, args("join -account carol@example.org/c", public)...)
	x.await("carol@example.org/c")
	for connected := 0; connected < 2; { // bob and carol
		list := x.start(nil, args("who -account alice@example.org", stream)...).ends(t, exitOK).stdout.String()
		connected = strings.Count(list, " connected")
		x.nobodyCame()
	}
	x.start(nil, args("send -account alice@example.org -stream "+stream, file)...).ends(t, exitOK)
	for _, c := range []*call{bob, carol} {
		if got := c.ends(t, exitOK).stdout.Bytes(); !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %s", len(got), &c.stderr)
		}
	}
}

// Somebody who joins a public stream meanwhile does not count for who was invited.
func TestThePublicIsNotTakenForTheInvited(t *testing.T) {
	x := newExchange(t)
	stream := strings.TrimSpace(x.start(nil, args("create -account alice@example.org -public 1 -service "+streamService)...).ends(t, exitOK).stdout.String())
	listed := x.start(nil, args("stats -account bob@example.org -service "+streamService)...).ends(t, exitOK).stdout.String()
	_, listed, _ = strings.Cut(listed, "\n")
	carol := x.enter("carol@example.org/stream")
	sender := x.start(strings.NewReader("hello"), args("send -account alice@example.org -stream "+stream, "-", "carol@example.org")...)
	sender.says(t, "waiting for 1 receiver")
	bob := x.start(nil, args("join -account bob@example.org/b", strings.Fields(listed)[0])...)
	sender.says(t, "bob@example.org/b is ready")
	carol.declines(t)
	sender.says(t, "carol@example.org/stream declines")
	sender.ends(t, exitOK)
	if got := bob.ends(t, exitOK).stdout.String(); got != "hello" {
		t.Errorf("bob got %q", got)
	}
}

func TestSenderIsToldWhoDoesNotCome(t *testing.T) {
	x := newExchange(t)
	c := x.start(strings.NewReader("x"), args("send -account alice@example.org -service "+streamService, "-", "nobody@example.org", "none@example.org/x")...).ends(t, exitFailed)
	for _, want := range []string{"nobody@example.org/stream declines, or is not there\n", "none@example.org/x declines", "meshgate stream: nobody receives\n"} {
		if !strings.Contains(c.stderr.String(), want) {
			t.Errorf("no %q in %s", want, &c.stderr)
		}
	}
	// Those who come get it all the same.
	r := x.start(nil, args("receive -account bob@example.org -")...)
	x.await("bob@example.org/stream")
	x.start(strings.NewReader("hello"), args("send -account alice@example.org -service "+streamService, "-", "nobody@example.org", "bob@example.org")...).ends(t, exitOK)
	if got := r.ends(t, exitOK).stdout.String(); got != "hello" {
		t.Errorf("bob got %q", got)
	}
	// Bob wants something of somebody else only.
	r = x.start(nil, args("receive -account bob@example.org -service "+streamService+" -from carol@example.org -")...)
	x.await("bob@example.org/stream")
	x.start(strings.NewReader("hello"), args("send -account alice@example.org -service "+streamService, "-", "bob@example.org")...).ends(t, exitFailed)
	r.signals <- syscall.SIGINT
	if r.ends(t, exitFailed); !strings.Contains(r.stderr.String(), "of alice@example.org through") {
		t.Errorf("%s", &r.stderr)
	}
}

func TestStreamFailsInWords(t *testing.T) {
	x := newExchange(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{args("create -account mallory@example.org -service " + streamService), "meshgate stream: refused: 403 Forbidden: you may not create streams here\n"},
		{args("create -account alice@example.org -service nobody@example.org"), "meshgate stream: no data stream service is there, or it is not there for you\n"},
		{args("who -account alice@example.org dsps.office/nothing"), "does not say who we are on the stream"},
		{args("who -account alice@example.org dsps.office/nothing,as=x"), "meshgate stream: refused: 401 Unauthorized\n"},
		{args("send -account alice@example.org -service dsps.office /nonexistent/file bob@example.org"), "meshgate stream: /nonexistent/file: there is no such file\n"},
		{args("send -account alice@example.org -service dsps.office", t.TempDir(), "bob@example.org"), "it is a directory; pack it"},
		{args("create -account alice@example.org -password-file /nonexistent/pw -service dsps.office"), "meshgate stream: /nonexistent/pw: there is no such file\n"},
		{args("receive -account alice@example.org -wait 1ms"), "meshgate stream: nobody has invited us\n"},
	} {
		c := x.start(strings.NewReader(""), tt.args...).ends(t, exitFailed)
		if !strings.Contains(c.stderr.String(), tt.want) {
			t.Errorf("%q: %s, want %s", tt.args, &c.stderr, tt.want)
		}
	}
}

func TestPasswordComesFromAFile(t *testing.T) {
	x := newExchange(t)
	file := filepath.Join(t.TempDir(), "pw")
	for pw, code := range map[string]int{"secret\n": exitOK, "wrong\n": exitFailed} {
		if err := os.WriteFile(file, []byte(pw), 0o600); err != nil {
			t.Fatal(err)
		}
		x.start(nil, args("create -account alice@example.org -service "+streamService+" -password-file", file)...).ends(t, code)
	}
}

// Ctrl-C ends a sender that waits for input, and the receiver is not left with
// half a file.
func TestSignalEndsATransfer(t *testing.T) {
	x := newExchange(t)
	dir := t.TempDir()
	r := x.start(nil, args("receive -account bob@example.org", dir)...)
	x.await("bob@example.org/stream")
	in, out := io.Pipe()
	defer out.Close()
	s := x.start(in, args("send -account alice@example.org -service "+streamService, "-", "bob@example.org")...)
	if _, err := out.Write([]byte("the beginning")); err != nil { // it is read: the transfer has begun, or will
		t.Fatal(err)
	}
	s.signals <- os.Interrupt
	if s.ends(t, exitFailed); !strings.HasSuffix(s.stderr.String(), "meshgate stream: stopped\n") {
		t.Errorf("%s", &s.stderr)
	}
	r.signals <- os.Interrupt
	<-r.done
}

// What is not what its sender has described is not kept. DS-17
func TestDamagedFileIsNotKept(t *testing.T) {
	const text = "hello"
	right := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	for name, tt := range map[string]struct {
		meta client.Meta
		args string
		code int
		want string
	}{
		"whole":       {client.Meta{Name: "x", Size: 5, SHA256: right}, "", exitOK, ""},
		"other hash":  {client.Meta{Name: "x", Size: 5, SHA256: strings.Repeat("0", 64)}, "", exitFailed, "damaged"},
		"too short":   {client.Meta{Name: "x", Size: 6}, "", exitFailed, "5 of 6 bytes"},
		"too long":    {client.Meta{Name: "x", Size: 4}, "", exitFailed, "more comes than was announced"},
		"over -max":   {client.Meta{Name: "x", Size: 5}, "-max 4", exitFailed, "which is more than -max 4 B"},
		"unannounced": {client.Meta{Name: "x", Size: -1}, "-max 4", exitFailed, "more comes than"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newExchange(t)
			dir := t.TempDir()
			r := x.start(nil, args("receive -account bob@example.org "+tt.args, dir)...)
			x.await("bob@example.org/stream")
			x.liar(tt.meta, text)
			r.ends(t, tt.code)
			list, _ := os.ReadDir(dir)
			if kept := len(list) > 0; kept != (tt.code == exitOK) || !strings.Contains(r.stderr.String(), tt.want) {
				t.Errorf("%v are kept; %s", list, &r.stderr)
			}
		})
	}
}

// liar sends bob a text that it describes as it likes.
func (x *exchange) liar(meta client.Meta, text string) {
	ctx := x.t.Context()
	r := &streamRun{o: &streamOptions{account: "liar@example.org"}, ways: streamWays{login: x.login}, process: process{getenv: func(string) string { return "secret" }}}
	s, err := r.open(ctx, "")
	if err != nil {
		x.t.Fatal(err)
	}
	defer s.close()
	stream, err := s.Create(ctx, streamService, client.Options{})
	if err != nil {
		x.t.Fatal(err)
	}
	conn, err := stream.Connect(ctx, client.Method{})
	if err != nil {
		x.t.Fatal(err)
	}
	defer conn.Close()
	offer := client.Offer{Right: dsps.Slave, Peers: []dsps.JID{"bob@example.org/stream"}, Comments: []*stanza.Element{meta.Comment()}}
	if err := stream.Invite(ctx, offer); err != nil {
		x.t.Fatal(err)
	}
	defer leave(ctx, stream)
	for {
		select {
		case <-conn.Ready():
			_, _ = conn.Send(ctx, strings.NewReader(text)) // he may have enough before the end
			return
		case e := <-stream.Events():
			if e.Status == dsps.Reject {
				return
			}
		}
	}
}
