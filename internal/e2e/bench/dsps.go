package main

import (
	"context"
	"flag"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"meshgate/internal/e2e"
)

const (
	pourRuns = 5
	piece    = 256 << 10 // bytes that are written and read at a time
	fan      = 8
)

var streamsShort = flag.Bool("short", false, "move little in streams, to see that all runs through")

// measureDSPS prints how fast streams of data are beside a relay that is
// io.Copy and beside the proxy of a Prosody, how soon one is set up over that
// Prosody, and what memory it takes. The ends are in this process, as are
// service and relay: CPU time is that of all of them and of the Prosody.
func measureDSPS(ctx context.Context, tb e2e.TB, out sheet) {
	b := openStreams(ctx, tb)
	defer b.close()
	one, each := int64(1<<30), int64(256<<20)
	if *streamsShort {
		one, each = 64<<20, 16<<20
	}
	b.compare(out, "1to1",
		path{"dsps", one, func() flow { return b.stream(b.self, 1) }},
		path{"relay", one, func() flow { return b.relays(1) }},
		path{"proxy65", one / 8, b.bytestream})
	b.compare(out, "1to8",
		path{"dsps", each, func() flow { return b.stream(b.self, fan) }},
		path{"relay", each, func() flow { return b.relays(fan) }})
	b.compare(out, "8streams",
		path{"dsps", each, func() flow { return b.streams(b.self, fan) }},
		path{"relay", each, func() flow { return b.relays(fan) }})
	b.setUpFigures(out)
	b.memoryFigures(out)
}

// A path is a way for data.
type path struct {
	name  string
	bytes int64 // that each writer writes in a run, and each reader reads
	open  func() flow
}

// A flow is a path that is open.
type flow struct {
	writers []io.Writer
	readers []io.Reader
	finish  func() // to be called when all is written; may be nil
}

// compare prints the goodput of paths, summed over the readers, and how much
// that of the first is over the others'. They take turns.
func (b *streamBench) compare(out sheet, name string, paths ...path) {
	rates, cpu := make([][]float64, len(paths)), make([][]float64, len(paths))
	over := make([][]float64, len(paths))
	for range pourRuns {
		for i, p := range paths {
			r, c := b.pour(p)
			rates[i], cpu[i] = append(rates[i], r), append(cpu[i], c)
		}
		for i := range paths {
			over[i] = append(over[i], rates[0][len(rates[0])-1]/rates[i][len(rates[i])-1])
		}
	}
	for i, p := range paths {
		out.figure(p.name+"_"+name, median(rates[i]), "MiB/s")
		out.figure(p.name+"_"+name+"_cpu", median(cpu[i]), "s/GiB")
		if i > 0 {
			out.figure(paths[0].name+"_"+name+"_over_"+p.name, median(over[i]), "ratio")
		}
	}
}

// pour has all written and read, and returns the summed goodput in MiB/s and
// the CPU seconds for each GiB.
func (b *streamBench) pour(p path) (rate, cpu float64) {
	f := p.open()
	defer b.end()
	begin, spent := time.Now(), b.spent()
	var writers, readers sync.WaitGroup
	for _, r := range f.readers {
		readers.Go(func() { b.note(drain(r, p.bytes)) })
	}
	for _, w := range f.writers {
		writers.Go(func() { b.note(fill(w, p.bytes)) })
	}
	writers.Wait()
	if f.finish != nil {
		f.finish()
	}
	readers.Wait()
	took, used := time.Since(begin), b.spent()-spent
	b.check()
	total := float64(p.bytes) * float64(len(f.readers))
	return total / (1 << 20) / took.Seconds(), used.Seconds() / (total / (1 << 30))
}

// fill writes so many bytes.
func fill(w io.Writer, left int64) error {
	for b := make([]byte, piece); left > 0; left -= int64(len(b)) {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// drain reads so many bytes.
func drain(r io.Reader, left int64) error {
	for b := make([]byte, piece); left > 0; {
		n, err := r.Read(b)
		if left -= int64(n); err != nil && left > 0 {
			return err
		}
	}
	return nil
}

// spent is the CPU time of this process and of the Prosody, in the kernel too.
func (b *streamBench) spent() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.tb.Fatalf("bench: %v", err)
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + b.server.Usage().CPU
}
