package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxFileName = 200 // bytes; file systems take 255, and the name may get a number
	maxNumbered = 100 // files of one name
	nameless    = "stream.bin"
)

// A sink is where what is received goes. It is kept only once it is whole.
type sink interface {
	io.Writer
	// commit keeps it, and says where, to stand behind other words.
	commit() (where string, err error)
	// abort removes what there is, unless it was kept.
	abort()
}

// sink opens the place that the command line names. What a sender calls a file
// is used only in a directory, and only as far as it is safe.
func (r *streamRun) sink(where, offered string) (sink, error) {
	if where == "-" {
		return standardOutput{r.stdout}, nil
	}
	f := &fileSink{dir: filepath.Dir(where), name: filepath.Base(where), force: r.o.force}
	fi, err := os.Stat(where)
	switch {
	case err != nil:
	case fi.IsDir():
		f.dir, f.name, f.numbered = where, safeName(offered), !r.o.force
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no ordinary file; write - and send standard output there", where)
	case !r.o.force:
		return nil, fmt.Errorf("%s exists; -force replaces it", where)
	}
	if f.File, err = os.CreateTemp(f.dir, ".meshgate-*.part"); err != nil {
		return nil, fmt.Errorf("%s: cannot write there: %w", f.dir, reason(err))
	}
	return f, nil
}

// reason is an error of the file system without the name that it has: that is
// one of ours.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// safeName makes a file name of whatever a sender says: no path, nothing
// hidden, nothing that a terminal or a shell stumbles over.
func safeName(offered string) string {
	name := offered[strings.LastIndexAny(offered, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		switch {
		case c == utf8.RuneError, !unicode.IsPrint(c), strings.ContainsRune(`:*?"<>|`, c):
			return '_'
		}
		return c
	}, name)
	name = strings.Trim(name, " ")
	name = strings.TrimLeft(name, ".-~ ")
	if len(name) > maxFileName {
		ext := filepath.Ext(name)
		if len(ext) > maxFileName/4 {
			ext = ""
		}
		name = strings.ToValidUTF8(name[:maxFileName-len(ext)], "") + ext
	}
	if name == "" {
		return nameless
	}
	return name
}

type standardOutput struct{ io.Writer }

func (standardOutput) commit() (string, error) { return "", nil }
func (standardOutput) abort()                  {}

// A fileSink writes beside the place where the file is to be, which it takes
// when it is whole.
type fileSink struct {
	*os.File
	dir, name string
	force     bool // replace what is there
	numbered  bool // if the name is taken, try others
}

func (f *fileSink) commit() (string, error) {
	if err := f.Sync(); err != nil {
		return "", reason(err)
	}
	name := f.name
	for n := 1; ; n++ {
		to := filepath.Join(f.dir, name)
		err := f.moveTo(to)
		if err == nil {
			return " as " + plain(to), nil
		}
		if !f.numbered || !errors.Is(err, fs.ErrExist) || n >= maxNumbered {
			return "", fmt.Errorf("%s: %w", plain(to), reason(err))
		}
		ext := filepath.Ext(f.name)
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(f.name, ext), n, ext)
	}
}

// moveTo gives the file its name. Without force it never replaces another:
// link(2) sees to that, unlike rename(2).
func (f *fileSink) moveTo(to string) error {
	if f.force {
		return os.Rename(f.Name(), to)
	}
	err := os.Link(f.Name(), to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// No links on this file system.
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(f.Name(), to)
}

// abort removes the name that it was written under, which after a commit is one
// of two, or none.
func (f *fileSink) abort() {
	f.Close()
	_ = os.Remove(f.Name())
}
