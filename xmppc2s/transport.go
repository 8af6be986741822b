package xmppc2s

import (
	"slices"
	"sync"
	"time"

	"meshgate/internal/xmlframe"
)

// A transport moves bytes of one connection: one goroutine reads and cuts
// frames, one writes. Its methods belong to the goroutine of the loop.
type transport struct {
	link    *link
	since   time.Time
	arrived chan arrival
	wrote   chan error // answers each write
	writes  chan []byte
	closed  chan struct{}
	busy    bool // a write is under way
	wg      sync.WaitGroup
}

// An arrival is what one read brought.
type arrival struct {
	frames []xmlframe.Frame
	err    error // the last arrival has one
}

func newTransport(l *link, cfg *Config) *transport {
	t := &transport{
		link: l, since: time.Now(),
		arrived: make(chan arrival), wrote: make(chan error, 1), writes: make(chan []byte, 1), closed: make(chan struct{}),
	}
	t.wg.Go(func() { t.read(cfg.MaxStanza) })
	t.wg.Go(func() { t.write(cfg.WriteTimeout) })
	return t
}

func (t *transport) read(limit int) {
	framer := xmlframe.NewOpen(limit)
	framer.SkipLarge = true
	buf := make([]byte, 16<<10)
	for {
		n, err := t.link.conn.Read(buf)
		frames, ferr := framer.Feed(buf[:n])
		if ferr != nil {
			err = ferr
		}
		if len(frames) == 0 && err == nil {
			continue
		}
		select {
		case t.arrived <- arrival{frames, err}:
		case <-t.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

func (t *transport) write(timeout time.Duration) {
	for {
		select {
		case b := <-t.writes:
			err := t.writeAll(b, timeout)
			t.wrote <- err
			if err != nil {
				return
			}
		case <-t.closed:
			return
		}
	}
}

// maxPiece is one record of TLS. However long a write is, each piece has its
// own timeout: a server that reads slowly is not dead.
const maxPiece = 16 << 10

func (t *transport) writeAll(b []byte, timeout time.Duration) error {
	for piece := range slices.Chunk(b, maxPiece) {
		_ = t.link.conn.SetWriteDeadline(time.Now().Add(timeout)) // a closed connection says so in Write
		if _, err := t.link.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// send hands b to the writer, which must not be busy. b must not be changed
// until wrote has answered.
func (t *transport) send(b []byte) {
	t.busy = true
	t.writes <- b
}

// close ends the connection and waits for both goroutines. It goes below TLS,
// which would wait to say goodbye on a dead path.
func (t *transport) close() {
	close(t.closed)
	t.link.raw.Close()
	t.wg.Wait()
}
