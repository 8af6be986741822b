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

func (r *BlockReader) head() error {
	for {
		_, err := r.r.Peek(r.r.Buffered() + 1) // waits for a byte more than there is
		if err != nil {
			if r.r.Buffered() > 0 && err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		b, _ := r.r.Peek(r.r.Buffered())
		h, n, err := ParseBlock(b)
		if err != nil {
			return err
		}
		if n > 0 {
			r.id, r.left = h.ID, h.Size
			_, err = r.r.Discard(n)
			return err
		}
	}
}
