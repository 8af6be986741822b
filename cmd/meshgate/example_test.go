package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const exampleFile = "../../config.example.yaml"

// A shownKey is a key of the example with what the comment above it says.
type shownKey struct {
	line int
	note string // "default: 60", "required" or "" if nothing was said
}

var (
	noteLine = regexp.MustCompile(`^ *# (default: .+|required)$`)
	keyLine  = regexp.MustCompile(`^( *)(#?)((?:- )?)([a-z0-9_]+):`)
)

// lists are the keys whose entries are sections.
var lists = []string{"contacts", "peer_contacts", "rooms"}

// readExample finds the keys in the text of the example, by their paths as
// pathsOf writes them. It knows only as much YAML as the example uses.
func readExample(t *testing.T, text string) map[string]shownKey {
	t.Helper()
	type level struct {
		indent int
		path   string
	}
	var (
		above []level
		note  string
		shown = map[string]shownKey{}
	)
	for i, line := range strings.Split(text, "\n") {
		if m := noteLine.FindStringSubmatch(line); m != nil {
			note = m[1]
			continue
		}
		m := keyLine.FindStringSubmatch(line)
		if m == nil {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				note = ""
			}
			continue
		}
		indent := len(m[1]) + len(m[3])
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		path := m[4]
		if len(above) > 0 {
			path = above[len(above)-1].path + "." + path
			if slices.Contains(lists, above[len(above)-1].path) {
				path = strings.Replace(path, ".", "[].", 1)
			}
		}
		above = append(above, level{indent, path})
		if _, again := shown[path]; !again { // a further entry of a list explains nothing
			shown[path] = shownKey{i + 1, note}
		}
		note = ""
	}
	return shown
}

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExampleShowsEveryKeyAndNoOther(t *testing.T) {
	shown := readExample(t, example(t))
	known := map[string]bool{}
	for _, p := range pathsOf(reflect.TypeFor[fileConfig](), "") {
		known[p] = true
		if _, ok := shown[p]; !ok {
			t.Errorf("%s is not in the example", p)
		}
	}
	for p, k := range shown {
		if !known[p] {
			t.Errorf("line %d: the example shows %s, which is no key", k.line, p)
		}
	}
}

func TestExampleStatesTheTrueDefaults(t *testing.T) {
	def := defaults()
	values := map[string]string{}
	defaultTexts(reflect.ValueOf(def), "", values)
	var ct contactConfig
	ct.setDefaults()
	defaultTexts(reflect.ValueOf(ct), "contacts[]", values)
	defaultTexts(reflect.ValueOf(peerRule{}), "peer_contacts[]", values)
	var room roomConfig
	room.setDefaults()
	defaultTexts(reflect.ValueOf(room), "rooms[]", values)
	if values["lan.idle"] != "10m" || values["contacts[].offline"] != "withdraw" || values["limits.body"] != "8192" {
		t.Fatalf("the defaults were not found: %v", values)
	}
	shown := readExample(t, example(t))
	for p, want := range values {
		k := shown[p]
		switch {
		case k.note == "required":
			if want != "none" {
				t.Errorf("line %d: %s is said to be required, but defaults to %s", k.line, p, want)
			}
		case p == "contacts": // a list whose entries explain themselves
		case k.note != "default: "+want:
			t.Errorf("line %d: above %s stands %q, want %q", k.line, p, k.note, "default: "+want)
		}
	}
}

// defaultTexts writes the values of a section as the example does.
func defaultTexts(v reflect.Value, path string, out map[string]string) {
	for f := range fields(v.Type()) {
		p, fv := join(path, f.Tag.Get("yaml")), v.FieldByIndex(f.Index)
		switch {
		case fv.Kind() == reflect.Struct:
			defaultTexts(fv, p, out)
		case fv.Kind() == reflect.Slice, fv.Kind() == reflect.String && fv.Len() == 0:
			out[p] = "none"
		case fv.Type() == durationType:
			out[p] = durationText(time.Duration(fv.Int()))
		default:
			out[p] = fmt.Sprint(fv.Interface())
		}
	}
}

// durationText writes 5m for Go's 5m0s.
func durationText(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if strings.HasSuffix(s, "m"+zero) || strings.HasSuffix(s, "h"+zero) {
			s = strings.TrimSuffix(s, zero)
		}
	}
	return s
}

func TestExampleIsGood(t *testing.T) {
	var out, errs bytes.Buffer
	if code := realMain([]string{"check", exampleFile}, process{stdout: &out, stderr: &errs, getenv: noEnv}); code != exitOK {
		t.Errorf("check of the example: exit code %d, %s", code, &errs)
	}
	if !strings.Contains(out.String(), ": ok") {
		t.Errorf("check of the example printed %q", &out)
	}
	if !strings.Contains(errs.String(), "MESHGATE_PASSWORD is not set") {
		t.Errorf("no warning about the missing password: %q", &errs)
	}
}

// Switched-off keys are right too: with their # taken off, only the surplus
// passwords and the files that are not there are wrong.
func TestSwitchedOffKeysOfTheExampleAreGood(t *testing.T) {
	on := regexp.MustCompile(`(?m)^( *)#([a-z0-9_]+:|  - )`).ReplaceAllString(example(t), "$1$2")
	c := load("-", host{stdin: strings.NewReader(on), getenv: noEnv, name: machineH1})
	var got []string
	for _, p := range c.list {
		if !p.warning {
			got = append(got, p.path)
		}
	}
	want := []string{"account.password_file", "account.ca_file", "lan.tls.certificate_file", "rooms[0].password_file", "streams.certificate_file"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("errors about %q, want %q", got, want)
		c.write(t.Output())
	}
	if len(c.Account.Pins) != 1 || c.LAN.Machine != "gw" {
		t.Errorf("keys were not switched on: %+v", c.fileConfig)
	}
}
