package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshgate/bridge/status"
	"meshgate/internal/selfsigned"
)

// reported waits for words about streams in the gateway's report.
func reported(t *testing.T, socket, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last string
	for ctx.Err() == nil {
		r, err := status.Dial(socket).Report(ctx)
		if err == nil && strings.Contains(r.Streams, words) {
			return
		}
		last = r.Streams
		time.Sleep(10 * time.Millisecond) // poll a report
	}
	t.Fatalf("the gateway says %q, want %q", last, words)
}

// Where streams cannot be served the gateway runs without, says so, and serves them
// as soon as it can: when the port is free, and when the certificate can be read.
// Streams and their bytes are counted from then on.
func TestStreamsThatCannotBeServedStopNothing(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	socket, cert := filepath.Join(dir, "control.sock"), filepath.Join(dir, "cert.pem")
	r := startWith(t, nil, fmt.Sprintf("control: %s\nstreams: {enabled: true, host: gw, listen: 127.0.0.1, port: %d, certificate_file: %s, key_file: %[3]s}\n",
		socket, busy.Addr().(*net.TCPAddr).Port, cert))
	if rec := r.await("configuration"); rec["level"] != "ERROR" || rec["key"] != "streams.certificate_file" {
		t.Errorf("logged %v", rec)
	}
	if rec := r.await("no streams of data until this is mended"); !strings.Contains(fmt.Sprint(rec["err"]), "no such file") {
		t.Errorf("logged %v", rec)
	}
	go r.drain()
	reported(t, socket, "streams: none, streams.certificate_file: ")

	var out bytes.Buffer
	checked := realMain([]string{"check", r.file}, process{stdout: io.Discard, stderr: &out, getenv: func(string) string { return "" }})
	if checked != exitConfig || !strings.Contains(out.String(), "streams.certificate_file: ") {
		t.Errorf("check: %d, %s", checked, out.String())
	}
	if _, err := selfsigned.Keep(cert, time.Now()); err != nil {
		t.Fatal(err)
	}
	reported(t, socket, "address already in use")
	busy.Close()
	reported(t, socket, "streams: served")
	report, err := status.Dial(socket).Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counted, _ := report.Parts["streams"].(map[string]any)
	ever, _ := counted["counters"].(map[string]any)
	if counted["active"] == nil || counted["peers"] == nil || counted["bytes"] == nil || ever["streams"] == nil || ever["connections"] == nil {
		t.Errorf("counted are %v", counted)
	}
	r.signals <- os.Interrupt
	if code := <-r.exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
