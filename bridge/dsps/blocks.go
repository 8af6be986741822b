package dsps

import (
	"bufio"
	"io"
)

// A BlockReader takes blocks off a connection that comes from a service. It
// belongs to one goroutine.
type BlockReader struct {
	r    *bufio.Reader
	left int64 // bytes of the block
	id   string
}

// NewBlockReader makes a reader. The connection is right behind its handshake.
func NewBlockReader(r io.Reader) *BlockReader { return &BlockReader{r: bufio.NewReader(r)} }

// Read reads data of one block: ID is whose. At the end of the connection, if
// it comes between blocks, the error is io.EOF.
func (r *BlockReader) Read(b []byte) (int, error) {
	for r.left == 0 {
		if err := r.head(); err != nil {
			return 0, err
		}
	}
	n, err := r.r.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ID is that of the peer that sent what was read last.
func (r *BlockReader) ID() string { return r.id }

// head takes the head of the next block. It waits only if what is there is not
// all of it.
func (r *BlockReader) head() error {
	for {
		b, err := r.r.Peek(r.r.Buffered())
		if err != nil {
			return err
		}
		h, n, err := ParseBlock(b)
		if err != nil {
			return err
		}
		if n > 0 {
			r.id, r.left = h.ID, h.Size
			_, err = r.r.Discard(n)
			return err
		}
		if _, err := r.r.Peek(len(b) + 1); err != nil {
			if len(b) > 0 && err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
}
