package client

import (
	"bytes"
	"context"
	"crypto/sha1" // what the document has
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// A Meta describes a file, in a comment of an invitation. Fields that are not
// known are empty. XEP-0037, File transfer
type Meta struct {
	Name         string
	Size         int64  // bytes; below zero: not known
	SHA1, SHA256 string // hex; SHA256 is ours
	MIME         string
	Date         time.Time
}

const metaDate = "20060102T15:04:05"

// ErrDamaged says that a file is not what its Meta says.
var ErrDamaged = errors.New("dsps: the file is incomplete or damaged")

// Hashed reports whether it shows what of a file is missing.
func (m Meta) Hashed() bool { return m.SHA1 != "" || m.SHA256 != "" }

// Comment is the comment that holds the description.
func (m Meta) Comment() *stanza.Element {
	attr := func(name, value string) stanza.Part { return stanza.Attr{Name: name, Value: value} }
	parts := []stanza.Part{
		attr("type", "file"), attr("name", m.Name), attr("sha1", m.SHA1), attr("sha256", m.SHA256), attr("mime", m.MIME),
	}
	if m.Size >= 0 {
		parts = append(parts, attr("size", strconv.FormatInt(m.Size, 10)))
	}
	if !m.Date.IsZero() {
		parts = append(parts, attr("timestamp", strconv.FormatInt(m.Date.Unix(), 10)), attr("date", m.Date.UTC().Format(metaDate)))
	}
	return stanza.New(dsps.NS, "comment", stanza.New(dsps.NS, "meta", parts...))
}

// FileOf finds the description of a file in comments.
func FileOf(comments []*stanza.Element) (Meta, bool) {
	for _, c := range comments {
		for e := range c.Children() {
			if e.Name.Local == "meta" && e.Attr("type") == "file" {
				return readMeta(e), true
			}
		}
	}
	return Meta{Size: -1}, false
}

func readMeta(e *stanza.Element) Meta {
	m := Meta{
		Name: e.Attr("name"), Size: readSize(e.Attr("size")), MIME: e.Attr("mime"),
		SHA1: strings.ToLower(e.Attr("sha1")), SHA256: strings.ToLower(e.Attr("sha256")),
	}
	if secs, err := strconv.ParseInt(e.Attr("timestamp"), 10, 64); err == nil && secs > 0 && secs < 1<<40 {
		m.Date = time.Unix(secs, 0).UTC()
	} else if at, err := time.Parse(metaDate, e.Attr("date")); err == nil {
		m.Date = at
	}
	return m
}

// readSize reads bytes. The document writes "500K" too, which is not exact: a
// size like that is not known.
func readSize(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Describe reads a file once, for its Meta.
func Describe(r io.Reader, m Meta) (Meta, error) {
	one, two := sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(one, two), r)
	m.Size, m.SHA1, m.SHA256 = n, sum(one), sum(two)
	return m, err
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// begin is what a receiver sends: "it can simply put a CR on the stream stating
// that transfer can begin."
const begin = '\r'

// Ready yields who says that transfer can begin, by ID, and is closed when the
// connection ends. From the first call on all that others say is read by it,
// and Read is not for others any more.
func (c *Conn) Ready() <-chan string {
	c.heed.Do(func() {
		c.ready = make(chan string, maxEvents)
		go func() { // ends with the connection
			defer close(c.ready)
			c.listen()
		}()
	})
	return c.ready
}

// listen reads until the connection ends: who does not read what others say
// holds up the stream.
func (c *Conn) listen() {
	known, b := map[string]bool{}, make([]byte, 4<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if id := c.ID(); bytes.IndexByte(b[:n], begin) >= 0 && !known[id] && len(known) < maxEvents {
			known[id] = true
			c.ready <- id // there is room for each of them
		}
	}
}

// WaitFor waits until n more peers have said that transfer can begin.
func (c *Conn) WaitFor(ctx context.Context, n int) error {
	for range n {
		select {
		case _, ok := <-c.Ready():
			if !ok {
				return fmt.Errorf("dsps: waiting for receivers: %w", io.ErrUnexpectedEOF)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Send sends all of r, and returns when the service has it. After it, Leave.
// It reads what others say, and does not look at it.
func (c *Conn) Send(ctx context.Context, r io.Reader) (int64, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	ready := c.Ready()
	n, err := io.Copy(struct{ io.Writer }{c}, r)
	if err == nil {
		err = c.CloseWrite()
	}
	if err != nil {
		c.Close()
	}
	for range ready { // until the service has closed the connection
	}
	c.Close()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("dsps: sending: %w", err)
	}
	return n, err
}

// Receive says that transfer can begin, and writes what comes to w, until it
// ends. It returns ErrDamaged if that is not what m says.
func (c *Conn) Receive(ctx context.Context, w io.Writer, m Meta) (int64, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	if _, err := c.Write([]byte{begin}); err != nil {
		return 0, fmt.Errorf("dsps: receiving: %w", err)
	}
	check, want := hash.Hash(sha256.New()), m.SHA256
	if want == "" {
		check, want = sha1.New(), m.SHA1
	}
	if want != "" {
		w = io.MultiWriter(w, check)
	}
	n, err := io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{c})
	switch {
	case ctx.Err() != nil:
		return n, ctx.Err()
	case m.Size >= 0 && n != m.Size:
		return n, fmt.Errorf("%w: %d of %d bytes came", ErrDamaged, n, m.Size)
	case err != nil:
		return n, fmt.Errorf("dsps: receiving: %w", err)
	case want != "" && sum(check) != want:
		return n, fmt.Errorf("%w: its hash is another", ErrDamaged)
	}
	return n, nil
}
