package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"meshgate/internal/e2e"
)

// keepLogs writes the logs of the gateway's processes, of the server and of members of
// the room, and what each way has seen, into a new directory in dir, which is made if it has to be,
// and returns its path.
func (r *run) keepLogs(dir string) (string, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	at, err := os.MkdirTemp(dir, "fault-"+r.o.Server.Kind+"-"+r.name+"-")
	if err != nil {
		return "", err
	}
	procs := map[string]*e2e.Proc{}
	for i, g := range r.gateways {
		procs[fmt.Sprintf("gateway-%02d.log", i)] = g
	}
	for _, s := range r.lan {
		if m, ok := s.(*member); ok {
			procs[m.out.tag+".log"] = m.Proc
		}
	}
	for i, s := range r.servers {
		procs[fmt.Sprintf("server-%02d.log", i)] = s
	}
	for name, p := range procs {
		if err := os.WriteFile(filepath.Join(at, name), []byte(strings.Join(p.Lines(), "\n")), 0o644); err != nil {
			return at, err
		}
	}
	for _, w := range append(r.ups(), r.downs()...) {
		if err := os.WriteFile(filepath.Join(at, w.tag+".txt"), []byte(w.story()), 0o644); err != nil {
			return at, err
		}
	}
	var b strings.Builder
	for _, m := range r.moments() {
		fmt.Fprintln(&b, m)
	}
	return at, os.WriteFile(filepath.Join(at, "moments.txt"), []byte(b.String()), 0o644)
}

// story lists what was sent and what came, with the time of day.
func (w *way) story() string {
	r := w.snapshot()
	var b strings.Builder
	for n, s := range r.sent {
		fmt.Fprintf(&b, "sent %d at %s on stream %d\n", n, s.at.Format(clock), s.stream)
	}
	for _, a := range r.came {
		fmt.Fprintf(&b, "came %d at %s id %q whole %t\n", a.n, a.at.Format(clock), a.id, a.whole)
	}
	for stream, at := range r.kills {
		fmt.Fprintf(&b, "stream %d was killed at %s\n", stream, at.Format(clock))
	}
	for _, text := range r.strange {
		fmt.Fprintf(&b, "beside: %q\n", text)
	}
	return b.String()
}

// clock is how times of day are written.
const clock = "15:04:05.000000"

// A logRecord is what is read of a record in the gateway's log.
type logRecord struct {
	Time      time.Time
	Msg, Part string
	Resumed   bool
}

// logged are the records in the log of one of the gateway's processes; other lines are
// left out.
func logged(gateway *e2e.Proc) (list []logRecord) {
	for _, text := range gateway.Lines() {
		var rec logRecord
		if json.Unmarshal([]byte(text), &rec) == nil {
			list = append(list, rec)
		}
	}
	return list
}
