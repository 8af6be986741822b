package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"meshgate/bridge"
)

const root = "../.."

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The configuration in the README is all that a first gateway needs.
func TestConfigOfTheReadmeIsGood(t *testing.T) {
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readDoc(t, "README.md"))
	if m == nil {
		t.Fatal("the README shows no configuration")
	}
	c := load("-", host{stdin: strings.NewReader(m[1]), getenv: noEnv, name: machineH1})
	for _, p := range c.list {
		if p.path != "account.password_credential" || !p.warning {
			t.Errorf("README: %s", p)
		}
	}
}

func TestDocumentsNameWhatExists(t *testing.T) {
	known := map[string]bool{}
	sections := map[string]bool{}
	for _, p := range pathsOf(reflect.TypeFor[fileConfig](), "") {
		known[p] = true
		first, _, _ := strings.Cut(p, ".")
		sections[first] = true
	}
	key := regexp.MustCompile("`([a-z_]+)\\.([a-z_]+)`")
	link := regexp.MustCompile(`\]\(([^):]+)\)`)
	target := regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	makefile := readDoc(t, "Makefile")
	for _, name := range []string{"README.md", "docs/ARCHITECTURE.md", "docs/COMPAT.md", "docs/CHANGELOG.md"} {
		text := readDoc(t, name)
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			if p := m[1] + "." + m[2]; sections[m[1]] && !known[p] {
				t.Errorf("%s: there is no key %s", name, p)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if name == "README.md" && !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: there is no target %s in the Makefile", name, m[1])
			}
		}
	}
}

// The limits that the README states are the defaults.
func TestLimitsOfTheReadmeAreTrue(t *testing.T) {
	text := readDoc(t, "README.md")
	for _, want := range []string{
		"| 60 a minute, 20 at once | `limits.peer_…`, `limits.contact_…` |",
		"| 8192 bytes | `limits.body` |",
		"| 1000 | `limits.peers` |",
		"| contacts | 1000 |",
		"| streams of data; people on one | 256, of which one person creates 16; 64 | `streams.max_…` |",
		"| further sessions of the account for streams | 4 | `streams.sessions` |",
		"| 64 KiB/s, over 16 s, or is dropped | `streams.public_bytes_per_second` |",
		"| 10 min, then they are cut off | `streams.drain` |",
		"| 20 stanzas/s, 64 KiB/s, then it is read slower | `limits.stream_…` |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the README does not say %q", want)
		}
	}
	if got := defaults().Streams; got.MaxStreams != 256 || got.MaxPeers != 64 || got.Sessions != 4 || got.Enabled || got.StreamRate != 0 || got.Rate != 0 || got.PublicRate != 64<<10 || got.Drain != 10*time.Minute {
		t.Errorf("the README's limits of streams are not %+v", got)
	}
	rows := pastLimits(defaults().Outbox.Messages)
	if rows[bridge.Passed].Rows != 26384 || rows[bridge.Refused].Rows != 4096 || !strings.Contains(text, "up to 26,384 messages that were passed on (with the default of `outbox.messages`) and 4096 that") {
		t.Errorf("the README does not say how many messages are remembered: %+v", rows)
	}
	want := limitsConfig{PeerPerMinute: 60, PeerBurst: 20, ContactPerMinute: 60, ContactBurst: 20, Body: 8192, Peers: 1000, StreamStanzas: 20, StreamBytes: 64 << 10}
	if got := defaults().Limits; got != want || maxListed != 1000 {
		t.Errorf("the README's limits are not %+v", got)
	}
}

func TestUnitStartsTheProgramAsItIs(t *testing.T) {
	unit := map[string]string{}
	for _, line := range strings.Split(readDoc(t, "packaging/meshgate.service"), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			unit[k] = v
		}
	}
	start := strings.Fields(unit["ExecStart"])
	if len(start) < 2 || start[1] != "run" {
		t.Fatalf("ExecStart=%s", unit["ExecStart"])
	}
	if o, code, done := parse("run", start[2:], process{}); done || o.config != defaultConfig {
		t.Errorf("ExecStart=%s: exit code %d, configuration %s", unit["ExecStart"], code, o.config)
	}
	if got := strings.Fields(unit["RestartPreventExitStatus"]); !slices.Equal(got, []string{"2", "78"}) || exitUsage != 2 || exitConfig != 78 {
		t.Errorf("RestartPreventExitStatus=%q", got)
	}
	if !strings.HasPrefix(unit["LoadCredential"], "password:") || !strings.Contains(readDoc(t, "README.md"), "password_credential: password ") {
		t.Errorf("LoadCredential=%s is not what the README's configuration names", unit["LoadCredential"])
	}
	if got := "/run/" + unit["RuntimeDirectory"]; got != filepath.Dir(defaults().Control) {
		t.Errorf("systemd makes %s, the control socket is %s", got, defaults().Control)
	}
	if d := mustDuration(unit["TimeoutStopSec"]); d <= defaults().Grace {
		t.Errorf("TimeoutStopSec=%s does not leave the gateway its grace period", d)
	}
	if d := mustDuration(unit["TimeoutStartSec"]); d <= lanPatience {
		t.Errorf("TimeoutStartSec=%s is shorter than the wait for the LAN", d)
	}
	if d := mustDuration(unit["WatchdogSec"]); d/2 <= pingPatience {
		t.Errorf("WatchdogSec=%s: half of it is shorter than the hub may take", d)
	}
}
