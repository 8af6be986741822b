package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/commands.txt")

// TestCommandLine runs every "$ meshgate ..." line of testdata/commands.txt
// and compares what it prints and its exit code with what stands below it.
func TestCommandLine(t *testing.T) {
	const file = "testdata/commands.txt"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for _, line := range strings.Split(string(b), "\n") {
		cmd, ok := strings.CutPrefix(line, "$ meshgate")
		if !ok {
			continue
		}
		fmt.Fprintln(&got, line)
		var out, errs bytes.Buffer
		code := realMain(strings.Fields(cmd), process{stdin: strings.NewReader(good), stdout: &out, stderr: &errs, getenv: noEnv})
		section(&got, "", out.String())
		section(&got, "err: ", errs.String())
		fmt.Fprintf(&got, "exit code %d\n\n", code)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(b), got.String()); diff != "" && !*update {
		t.Errorf("%s (-want +got); rewrite it with -update:\n%s", file, diff)
	}
}

func section(w *bytes.Buffer, prefix, text string) {
	for _, l := range strings.SplitAfter(text, "\n") {
		if l != "" {
			fmt.Fprintf(w, "%s%s\n", prefix, strings.TrimRight(l, "\n"))
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, name := range commands {
		var out bytes.Buffer
		if code := realMain([]string{"help", name}, process{stdout: &out, stderr: &out}); code != exitOK || !strings.HasPrefix(out.String(), "usage: meshgate "+name) {
			t.Errorf("help %s: exit code %d, %q", name, code, &out)
		}
		if !strings.Contains(helpText[""], "\n  "+name+" ") {
			t.Errorf("%s is not in the list of commands", name)
		}
	}
}

func TestHelpNamesTheDefaultFile(t *testing.T) {
	for _, name := range []string{"run", "check"} {
		if !strings.Contains(helpText[name], "(default "+defaultConfig) {
			t.Errorf("help %s does not name %s", name, defaultConfig)
		}
	}
}

func TestCheckExitCodes(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, text string
		args       []string
		want       int
		stdout     string
	}{
		{"good", good, nil, exitOK, ": ok: gw@example.org is the gateway, 2 contacts\n"},
		{"quiet", good, []string{"-q"}, exitOK, ""},
		{"warning", strings.Replace(good, "*@h2", "bob", 1), nil, exitOK, ": ok: gw@example.org is the gateway, 2 contacts, 1 warning\n"},
		{"unset variable", strings.Replace(good, "PW", "NONE", 1), nil, exitOK, ": ok: gw@example.org is the gateway, 2 contacts, 1 warning\n"},
		{"no password", strings.Replace(good, ", password_env: PW", "", 1), nil, exitConfig, ""},
		{"not YAML", "a: b: c", nil, exitConfig, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-")+".yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.stdout != "" {
				tt.stdout = file + tt.stdout
			}
			var out, errs bytes.Buffer
			getenv := func(k string) string { return map[string]string{"PW": "x"}[k] }
			code := realMain(append(append([]string{"check"}, tt.args...), file), process{stdout: &out, stderr: &errs, getenv: getenv})
			if code != tt.want || out.String() != tt.stdout {
				t.Errorf("exit code %d, printed %q, want %d, %q; %s", code, &out, tt.want, tt.stdout, &errs)
			}
			if code == exitConfig && !strings.HasPrefix(errs.String(), file+":1: ") {
				t.Errorf("the error does not begin with file and line: %q", &errs)
			}
		})
	}
}
