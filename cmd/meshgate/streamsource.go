package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"time"

	"meshgate/bridge/dsps/client"
)

// source is what is sent, and what is known of it.
func (r *streamRun) source(ctx context.Context) (io.ReadCloser, client.Meta, error) {
	name := r.o.args[0]
	if name == "-" {
		return heldBack(ctx, r.stdin), client.Meta{Name: "stream", Size: -1}, nil
	}
	f, err := within(ctx, func() (*os.File, error) { return os.Open(name) })
	if err != nil {
		return nil, client.Meta{}, fmt.Errorf("%s: %s", name, openWords(err, false))
	}
	meta, err := r.describe(ctx, f)
	if err != nil {
		f.Close()
		return nil, meta, fmt.Errorf("%s: %w", name, err)
	}
	if !meta.Hashed() { // it may say nothing for long, as standard input
		return heldBack(ctx, f), meta, nil
	}
	return f, meta, nil
}

// describe reads a file once for its hash, so that receivers can tell whether
// it has come whole. What is no ordinary file cannot be read twice.
func (r *streamRun) describe(ctx context.Context, f *os.File) (client.Meta, error) {
	meta := client.Meta{Name: filepath.Base(f.Name()), Size: -1, MIME: mime.TypeByExtension(filepath.Ext(f.Name()))}
	fi, err := f.Stat()
	switch {
	case err != nil:
		return meta, err
	case fi.IsDir():
		return meta, errors.New("it is a directory; pack it, as in tar c DIR | meshgate stream send … -")
	case !fi.Mode().IsRegular():
		return meta, nil
	}
	meta.Date = fi.ModTime().Truncate(time.Second).UTC()
	m := r.meter("reading "+meta.Name, fi.Size())
	defer m.stop()
	if meta, err = client.Describe(io.TeeReader(stoppable{ctx, f}, m), meta); err != nil {
		return meta, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return meta, err
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}

// within is what f returns, unless ctx ends before: to open a named pipe waits for
// somebody who writes, which nothing can stop. The goroutine then waits for the
// rest of the process.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	got := make(chan outcome, 1)
	go func() {
		v, err := f()
		got <- outcome{v, err}
	}()
	select {
	case o := <-got:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// heldBack reads standard input, or what is like it, and can be stopped while nothing comes. Its
// goroutine then waits for the rest of the process.
func heldBack(ctx context.Context, r io.Reader) io.ReadCloser {
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, r)
		out.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return in
}
