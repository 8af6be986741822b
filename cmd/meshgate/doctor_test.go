package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/bridge/status"
	"meshgate/linklocal/doctor"
	"meshgate/xmppc2s"
)

func TestDiagnosisInWords(t *testing.T) {
	list := []doctor.Finding{
		{Severity: doctor.Fault, Check: "x", Text: "the name “\x1b[2Jalice@gw” is held by a host that is far away from here", Mend: "change the name there, or ours, whichever is easier"},
		{Severity: doctor.Warning, Check: "y", Text: "short", Mend: "so"},
		{Severity: doctor.OK, Check: "z", Text: "fine"},
	}
	want := `fault    the name “�[2Jalice@gw” is held by a host
         that is far away from here
         → change the name there, or ours,
           whichever is easier
warning  short
         → so
ok       fine

1 fault, 1 warning.
`
	if diff := cmp.Diff(want, diagnosis(list, 50)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, list := range map[string][]doctor.Finding{
		"All is well.":          list[2:],
		"No fault, 1 warning.":  list[1:],
		"1 fault.":              list[:1],
		"2 faults, 2 warnings.": append(list[:2:2], list[:2]...),
	} {
		if got := conclusion(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Every problem that the server's part can name has a line on how to mend it.
func TestServerTroubleKeepsItsWords(t *testing.T) {
	s := serverTrouble(fmt.Errorf("wrapped: %w", &xmppc2s.Error{Problem: xmppc2s.WrongLogin, Text: "wrong password"}))
	if s.Problem != "wrong login" || !strings.HasSuffix(s.Err, "wrong password") {
		t.Errorf("%+v", s)
	}
	known := doctor.Judge(doctor.Facts{Server: s})
	other := doctor.Judge(doctor.Facts{Server: serverTrouble(os.ErrClosed)})
	if len(known) != 2 || len(other) != 2 || known[1].Mend == other[1].Mend || other[1].Mend == "" {
		t.Errorf("%+v, %+v", known, other)
	}
}

func TestDoctorKnowsTheNamesOfTheConfiguration(t *testing.T) {
	c := loadWith(good, map[string]string{"PW": "x"})
	want := doctor.Names{Host: c.hostLabel(), Instances: []string{"meshgate@h1", "bob@h1", "Eve@h1"}}
	if diff := cmp.Diff(want, c.namesOnLAN()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDoctorAsksTheRunningGateway(t *testing.T) {
	path := fakeGateway(t, &fakeMesh{list: []status.Peer{
		{Name: "bob@h2"}, {Name: "Alice@gw", Own: "a", Wanted: "alice@gw"}, {Name: "eve1@gw", Own: "e", Wanted: "eve@gw"},
	}})
	g := askGateway(t.Context(), path)
	if !g.Running || !g.Online || len(g.Renamed) != 1 || g.Renamed[0] != (doctor.Renamed{Wanted: "eve@gw", Name: "eve1@gw"}) {
		t.Errorf("%+v", g)
	}
	if g := askGateway(t.Context(), ""); g.Running {
		t.Errorf("without a socket: %+v", g)
	}
}

// Not everybody who may ask the gateway knows its password.
func TestDoctorHasTheGatewayAskTheServer(t *testing.T) {
	m := &fakeMesh{survey: doctor.Server{Asked: true, Addr: "by the gateway", ResumeMax: time.Minute}}
	text := fmt.Sprintf(lonely, closedPort(t)) + "control: " + fakeGateway(t, m) + "\n"
	c := loadWith(text, nil)
	o := &options{interfaces: []string{"none0"}}
	if f := o.gather(t.Context(), c, ""); !reflect.DeepEqual(f.Server, m.survey) || !f.Gateway.Running {
		t.Errorf("%+v, %+v", f.Server, f.Gateway)
	}
	m.err = errors.New("stopping")
	if f := o.gather(t.Context(), c, ""); f.Server.Problem != "unreachable" {
		t.Errorf("without the gateway's help: %+v", f.Server)
	}
	o.socket = filepath.Join(t.TempDir(), "none")
	if f := o.gather(t.Context(), nil, "no file"); f.Server.Skipped != "no file" {
		t.Errorf("without a configuration: %+v", f.Server)
	}
}

// What was not waited for would look like faults.
func TestDoctorThatIsStoppedSaysNothing(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	var out, errs bytes.Buffer
	p := process{stdout: &out, stderr: &errs, getenv: noEnv, signals: signals}
	code := realMain([]string{"doctor", "-wait", "1m", "-socket", filepath.Join(t.TempDir(), "none")}, p)
	if code != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "stopped") {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
}

// On an interface that is not there, and with a server that is not there.
func TestDoctorCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meshgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, lonely+"control: off\n", closedPort(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := realMain([]string{"doctor", "-json", "-wait", "1s", "-config", file}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	var list []doctor.Finding
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || code != exitFailed || doctor.Count(list, doctor.Fault) < 2 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, &out, &errs)
	}
	text := out.String()
	for _, want := range []string{"there is no interface none0", "connection refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"-wait", "1h"}, exitUsage},
		{[]string{"-wait", "0s"}, exitUsage},
		{[]string{"-interface", ""}, exitUsage},
		{[]string{"-config", "/none/meshgate.yaml"}, exitConfig},
	} {
		if code := realMain(append([]string{"doctor"}, tt.args...), process{stdout: &out, stderr: &errs, getenv: noEnv}); code != tt.want {
			t.Errorf("%q: exit code %d, want %d", tt.args, code, tt.want)
		}
	}
}
