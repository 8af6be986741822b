package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A stand-in for the gateway, so that what is around the gateway is tested
// also while the gateway itself is not fit to be.
const standIn = `#!/bin/bash
trap 'echo "{\"msg\":\"stopping\"}" >&2; exit 5' TERM
echo "{\"level\":\"INFO\",\"msg\":\"started\",\"config\":\"$(head -1 "$3")\",\"n\":7}" >&2
while :; do read -r -t 0.05 _ || (( $? > 128 )) || exit 0; done
`

func TestGatewayIsStartedReadStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	h := New(t, 1).Host("h1")
	program := h.WriteFile("stand-in", standIn)
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	g := h.Gateway(GatewayOptions{Config: "site: here", Program: program, Ready: `"msg":"started"`})
	if code := g.Stop(); code != 5 {
		t.Errorf("exit status %d, want 5", code)
	}
	g.AwaitLog("stopping")
	g.SetConfig("site: there")
	g.Start()
	if strings.Join(g.Lines(), "\n") == "" || !strings.Contains(g.Report(), "site: there") {
		t.Errorf("report of the second run:\n%s", g.Report())
	}
	g.Kill()
	g.Refute(`stopping`)
}

func TestLogRecordsAreMatchedByTheirFields(t *testing.T) {
	record := map[string]any{"msg": "peer", "name": "bob@h2", "n": float64(7)}
	for _, c := range []struct {
		msg  string
		want []string
		fits bool
	}{
		{"peer", nil, true},
		{"peer", []string{"name", "bob@h2", "n", "7"}, true},
		{"peer", []string{"name", "eve@h2"}, false},
		{"peer", []string{"none", "x"}, false},
		{"room", nil, false},
	} {
		if got := fitsRecord(record, c.msg, c.want); got != c.fits {
			t.Errorf("%q %q: %v", c.msg, c.want, got)
		}
	}
}

func TestProgramsOfTheModuleAreBuilt(t *testing.T) {
	t.Parallel()
	path, err := buildProgram("meshgate/internal/e2e/testdata/hello")
	if err != nil {
		t.Fatal(err)
	}
	h := Local(t)
	if got := h.Output(path); got != "hello\n" {
		t.Errorf("output %q", got)
	}
	rest, err := filepath.Glob(filepath.Join(filepath.Dir(path), "build-*", "program"))
	if err != nil || len(rest) > 0 {
		t.Errorf("left in the cache: %v, %v", rest, err)
	}
}

func TestUsageOfAProcess(t *testing.T) {
	t.Parallel()
	p := Local(t).Start("bash", "-c", "for ((i = 0; i < 200000; i++)); do :; done; echo done; read -r _")
	p.Expect("^done$")
	u := p.Usage()
	if u.RSS < 1<<20 || u.PeakRSS < u.RSS || u.CPU < 20*time.Millisecond || u.Threads != 1 || u.Files < 3 {
		t.Errorf("usage %+v", u)
	}
}
