package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
)

// A Finding is what meshgate doctor says.
type Finding struct {
	Severity string `json:"severity"`
	Check    string `json:"check"`
	Text     string `json:"text"`
	Mend     string `json:"mend"`
}

// A Diagnosis is all that meshgate doctor says.
type Diagnosis struct {
	Findings []Finding
	Exit     int
}

// Faults are the checks that found a fault, each once, in the doctor's order.
func (d Diagnosis) Faults() string {
	var faults []string
	for _, f := range d.Findings {
		if f.Severity == "fault" {
			faults = append(faults, f.Check)
		}
	}
	return strings.Join(faults, " ")
}

// Of is what the doctor says of one check, at its worst.
func (d Diagnosis) Of(check string) Finding {
	for _, f := range d.Findings {
		if f.Check == check {
			return f
		}
	}
	return Finding{}
}

// Doctor runs meshgate doctor in the host.
func (h *Host) Doctor(args ...string) Diagnosis {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := h.Command(ctx, BuildGateway(h.tb, false), append([]string{"doctor", "-json", "-wait", "2s"}, args...)...)
	var out, errs limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var d Diagnosis
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			h.tb.Fatalf("e2e: %s: doctor: %v", h.Name, err)
		}
		d.Exit = exit.ExitCode()
	}
	if err := json.Unmarshal(out.b, &d.Findings); err != nil {
		h.tb.Fatalf("e2e: %s: doctor: %v: %s%s", h.Name, err, out.b, errs.b)
	}
	return d
}
