package client

import (
	"bufio"
	"fmt"
	"io"
)

// An input is what a service says: lines, which end in CR, LF or CR LF, and
// what is behind them.
type input struct {
	r    *bufio.Reader
	cr   bool // the last line ended in CR: if LF is next, it is of that line
	crlf bool // all end like that
}

func newInput(r io.Reader) *input { return &input{r: bufio.NewReader(r)} }

// Read reads what is behind the lines.
func (i *input) Read(b []byte) (int, error) {
	if err := i.settle(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

func (i *input) line() (string, error) {
	if err := i.settle(); err != nil {
		return "", err
	}
	var b []byte
	for len(b) < maxLine {
		c, err := i.r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\r' || c == '\n' {
			i.cr = c == '\r'
			if i.crlf { // the LF is not waited for in front of what is silence
				err = i.settle()
			}
			return string(b), err
		}
		b = append(b, c)
	}
	return "", fmt.Errorf("%w: endless line", errWire)
}

// settle passes over the LF of a line that ended in CR LF.
func (i *input) settle() error {
	if !i.cr {
		return nil
	}
	b, err := i.r.Peek(1)
	if err != nil {
		return err
	}
	i.cr = false
	if b[0] == '\n' {
		i.crlf = true
		_, err = i.r.Discard(1)
	}
	return err
}
