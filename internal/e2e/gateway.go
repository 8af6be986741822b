package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// gatewayPackage is the program under test.
const gatewayPackage = "meshgate/cmd/meshgate"

// The gateway is built at most twice in a process: without and with the race
// detector.
var (
	plainGateway = sync.OnceValues(func() (string, error) { return buildProgram(gatewayPackage) })
	racyGateway  = sync.OnceValues(func() (string, error) { return buildProgram(gatewayPackage, "-race") })
)

// BuildGateway builds the gateway, from the module of the working directory,
// and returns its path.
func BuildGateway(tb TB, race bool) string {
	tb.Helper()
	build := plainGateway
	if race {
		build = racyGateway
	}
	path, err := build()
	if err != nil {
		tb.Fatalf("e2e: %v", err)
	}
	return path
}

// buildProgram builds a package of this module into the cache. A program of
// the same name that runs at the moment keeps its own file.
func buildProgram(pkg string, flags ...string) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	if err := lookAtSources(filepath.Dir(strings.TrimSpace(string(module)))); err != nil {
		return "", err
	}
	part, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	built := filepath.Join(part, "program")
	args := append(append([]string{"build", "-o", built}, flags...), pkg)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	// One file for each checkout and kind of build, so that the cache does
	// not grow.
	path := filepath.Join(dir, filepath.Base(pkg)+strings.Join(flags, "")+"-"+shortHash(module))
	return path, os.Rename(built, path)
}

// lookAtSources reads every directory of the module. "go test" shows the result
// of an earlier run unless a file or directory that the test has looked at has
// changed, and does not know what the program under test is made of.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "dist") {
			return filepath.SkipDir
		}
		return err
	})
}

// GatewayOptions says how the gateway is run.
type GatewayOptions struct {
	Config  string   // text of the configuration file
	Race    bool     // with the race detector; a report of it fails the test
	Program string   // path of a built gateway; empty: build it
	Verbose bool     // with debug records in its log
	Args    []string // arguments; empty: run -config FILE
	Env     []string
	Ready   string // what its log says when it serves; empty: do not wait
}

// A Gateway is the program under test in a host.
type Gateway struct {
	*Proc // the current process: another one after Start

	ConfigFile string
	StateDir   string // for the configuration to name; kept over restarts

	host *Host
	opt  GatewayOptions
	spec Spec
}

// GatewayStateDir is where a gateway in this host may keep its state; it is
// made for it.
func (h *Host) GatewayStateDir() string {
	h.tb.Helper()
	dir := h.Path("meshgate/state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.tb.Fatalf("e2e: %v", err)
	}
	return dir
}

// Gateway starts the gateway in the host.
func (h *Host) Gateway(opt GatewayOptions) *Gateway {
	h.tb.Helper()
	if opt.Program == "" {
		opt.Program = BuildGateway(h.tb, opt.Race)
	}
	g := &Gateway{host: h, opt: opt, StateDir: h.GatewayStateDir()}
	g.SetConfig(opt.Config)
	args := opt.Args
	if len(args) == 0 {
		args = []string{"run", "-config", g.ConfigFile}
		if opt.Verbose {
			args = append(args, "-v")
		}
	}
	// GORACE: the exit status of a run in which a race was found, and a run
	// goes on after it, so that the log shows what it led to.
	env := append([]string{"GORACE=exitcode=66 halt_on_error=0"}, opt.Env...)
	g.spec = Spec{Name: "meshgate@" + h.Name, Args: append([]string{opt.Program}, args...), Env: env}
	g.Start()
	return g
}

// SetConfig replaces the text of the configuration file; whoever runs learns
// of it by a signal, if at all.
func (g *Gateway) SetConfig(text string) {
	g.host.tb.Helper()
	g.ConfigFile = g.host.WriteFile("meshgate/config.yaml", text)
}

// Start runs a stopped or killed gateway again on the same state.
func (g *Gateway) Start() {
	g.host.tb.Helper()
	g.Proc = g.host.StartSpec(g.spec)
	proc, tb := g.Proc, g.host.tb
	tb.Cleanup(func() {
		if n := proc.Count(`^WARNING: DATA RACE`); n > 0 && !tb.Failed() {
			tb.Errorf("e2e: %s: %d data races\n%s", proc.Name, n, proc.Report())
		}
	})
	if g.opt.Ready != "" {
		g.Expect(g.opt.Ready)
	}
}

// Host is where the gateway runs.
func (g *Gateway) Host() *Host { return g.host }

// AwaitLog waits for a record of the gateway's JSON log with that message that
// no one has awaited, and for which all of the given keys and values hold. It
// returns the whole record.
func (g *Gateway) AwaitLog(msg string, keysAndValues ...string) map[string]any {
	g.tb.Helper()
	var record map[string]any
	_, err := g.await(Patience, fmt.Sprintf("log record %q %q", msg, keysAndValues), func(text string) bool {
		record = nil
		return json.Unmarshal([]byte(text), &record) == nil && fitsRecord(record, msg, keysAndValues)
	})
	if err != nil {
		g.tb.Fatalf("e2e: %v", err)
	}
	return record
}

func fitsRecord(record map[string]any, msg string, keysAndValues []string) bool {
	if record["msg"] != msg {
		return false
	}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		if fmt.Sprint(record[keysAndValues[i]]) != keysAndValues[i+1] {
			return false
		}
	}
	return true
}

// A Usage is what a process has taken so far.
type Usage struct {
	RSS     int64         // bytes of memory in use
	Anon    int64         // those of them that are the process's own, and no file's
	PeakRSS int64         // the most so far
	CPU     time.Duration // user and system time together, to the 10 ms
	Threads int
	Files   int // open file descriptors
}

// Usage reads what the process uses now.
func (p *Proc) Usage() Usage {
	p.tb.Helper()
	u, err := readUsage(p.Pid())
	if err != nil {
		p.tb.Fatalf("e2e: %s: %v", p.Name, err)
	}
	return u
}

// readUsage reads /proc/PID/status, stat and fd: proc(5).
func readUsage(pid int) (Usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	for _, l := range strings.Split(string(status), "\n") {
		key, value, _ := strings.Cut(l, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // text values are not read
		switch key {
		case "VmRSS":
			u.RSS = n << 10
		case "RssAnon":
			u.Anon = n << 10
		case "VmHWM":
			u.PeakRSS = n << 10
		case "Threads":
			u.Threads = int(n)
		}
	}
	if u.CPU, err = readCPU(dir + "stat"); err != nil {
		return Usage{}, err
	}
	files, err := os.ReadDir(dir + "fd")
	u.Files = len(files)
	return u, err
}

// readCPU reads utime and stime, fields 14 and 15, which count ticks of 10 ms.
func readCPU(path string) (time.Duration, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// Field 2 is a name in brackets that may contain anything.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: %d fields", path, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
