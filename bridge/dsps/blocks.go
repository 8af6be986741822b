package dsps

import "io"

// A BlockReader takes blocks off a connection that comes from a service. It
// belongs to one goroutine.
//
// It reads data to where it is wanted, and behind a block no more than the next
// head is likely to have: so a block takes one read, and is not copied.
type BlockReader struct {
	r     io.Reader
	buf   [maxBlockHead]byte
	ahead []byte // of buf: what was read behind the block
	usual int    // bytes of the last head
	left  int64  // bytes of the block
	id    string
}

// NewBlockReader makes a reader. The connection is right behind its handshake.
func NewBlockReader(r io.Reader) *BlockReader { return &BlockReader{r: r} }

// Read reads data of one block: ID is whose. At the end of the connection, if
// it comes between blocks, the error is io.EOF. Behind the data b is scratch space.
func (r *BlockReader) Read(b []byte) (int, error) {
	for r.left == 0 {
		if err := r.head(); err != nil {
			return 0, err
		}
	}
	n := copy(b[:min(int64(len(b)), r.left)], r.ahead)
	r.ahead = r.ahead[n:]
	if n > 0 || len(b) == 0 {
		r.left -= int64(n)
		return n, nil
	}
	n, err := r.r.Read(b[:min(int64(len(b)), r.left+int64(r.usual))])
	if data := int(min(int64(n), r.left)); data < n {
		r.ahead = r.buf[:copy(r.buf[:], b[data:n])]
		n = data
	}
	r.left -= int64(n)
	switch {
	case n > 0: // an error comes again
		return n, nil
	case err == io.EOF:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

// ID is that of the peer that sent what was read last.
func (r *BlockReader) ID() string { return r.id }

// head takes the head of the next block. It waits only if what is there is not
// all of it.
func (r *BlockReader) head() error {
	for {
		h, n, err := ParseBlock(r.ahead)
		if err != nil {
			return err
		}
		if n > 0 {
			r.id, r.left, r.usual, r.ahead = h.ID, h.Size, n, r.ahead[n:]
			return nil
		}
		have := copy(r.buf[:], r.ahead)
		n, err = r.r.Read(r.buf[have:max(have+1, r.usual)])
		r.ahead = r.buf[:have+n]
		if n > 0 {
			continue
		}
		if err == io.EOF && have > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}
