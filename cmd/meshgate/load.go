package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
)

// stdinName stands for a file's name in messages.
const stdinName = "standard input"

// A config is a file that has been read and checked.
type config struct {
	fileConfig
	*problems
	lines map[string]int // key path -> line
	host  host
	dir   string // what relative paths in the file are relative to
}

// A host is what of the machine the configuration depends on.
type host struct {
	stdin  io.Reader // the file "-"
	getenv func(string) string
	name   func() (string, error) // os.Hostname
}

// load reads and checks the file called name. Its problems say what is wrong;
// if some of them are errors, the rest of it must not be used.
func load(name string, h host) *config {
	c := &config{
		fileConfig: defaults(),
		problems:   &problems{file: name},
		lines:      map[string]int{},
		host:       h,
		dir:        filepath.Dir(name),
	}
	b := c.read(name)
	if c.errors() > 0 {
		return c
	}
	root := parseYAML(b, c.problems)
	if root == nil {
		return c
	}
	d := &decoder{problems: c.problems, lines: c.lines}
	d.value(root, "", reflect.ValueOf(&c.fileConfig).Elem(), "")
	c.check()
	return c
}

func (c *config) read(name string) []byte {
	if name == "-" {
		c.file, c.dir = stdinName, "."
		return readConfig(c.host.stdin, c.problems)
	}
	f, err := os.Open(name)
	if err != nil {
		c.add(0, "", "%s", openWords(err, name == defaultConfig))
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		c.add(0, "", "it is a directory; name the file in it")
		return nil
	}
	return readConfig(f, c.problems)
}

// openWords says why a file could not be opened.
func openWords(err error, isDefault bool) string {
	switch {
	case errors.Is(err, fs.ErrNotExist) && isDefault:
		return "there is no such file; copy config.example.yaml there, or name yours with -config FILE"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read it"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return "cannot read it: " + err.Error()
}

var lastPart = regexp.MustCompile(`(\.[^.\[]+|\[\d+\])$`)

// line is where the key stands, or else the section that it belongs to.
func (c *config) line(path string) int {
	for {
		if n, ok := c.lines[path]; ok {
			return n
		}
		up := lastPart.ReplaceAllString(path, "")
		if up == path {
			return c.lines[""]
		}
		path = up
	}
}

// given says whether the file sets the key.
func (c *config) given(path string) bool { return c.lines[path] > 0 }

// wrong and doubt add an error and a warning about a key.
func (c *config) wrong(path, format string, args ...any) { c.add(c.line(path), path, format, args...) }
func (c *config) doubt(path, format string, args ...any) { c.warn(c.line(path), path, format, args...) }

// resolve makes a path in the file absolute, or relative to where we run.
func (c *config) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}
