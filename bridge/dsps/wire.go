package dsps

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes on a connection that have a meaning before data flows.
const (
	cr = '\r'
	lf = '\n'

	startTLS = "starttls"
	// maxLine holds two addresses and the space between them.
	maxLine = 2*maxJID + 1
	// maxSplits is how many spaces of a first line are tried as the one
	// between the addresses: resources and presence names have spaces, too.
	maxSplits = 32
)

var errWire = errors.New("dsps: not what the protocol has here")

// A pair of a client's address and one of ours is what a connection belongs to.
type pair struct{ client, service JID }

func (p pair) fold() pair { return pair{p.client.fold(), p.service.fold()} }

// AppendHello appends a client's first line.
func AppendHello(b []byte, client, service JID) []byte {
	return append(append(append(append(b, client...), ' '), service...), cr)
}

// hellos are the pairs that a first line can mean.
func hellos(line string) []pair {
	var out []pair
	for i, c := range line {
		if c != ' ' || len(out) == maxSplits {
			continue
		}
		if p := (pair{JID(line[:i]), JID(line[i+1:])}); p.client.valid() && p.service.valid() {
			out = append(out, p)
		}
	}
	return out
}

// AppendKey appends a line that is a key.
func AppendKey(b []byte, key string) []byte { return append(append(b, key...), cr) }

// A Block is the head of a block of data.
type Block struct {
	ID   string // of the sender, as in who
	Size int64  // bytes of data that follow
}

const (
	maxBlockID   = 64                  // bytes
	maxBlockHead = 1 + 20 + 1 + 1 + 65 // bytes: 0, digits, power, CR, id and CR
	base36       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// AppendBlock appends the head of a block.
func AppendBlock(b []byte, h Block) []byte {
	b = append(b, '0')
	b = strconv.AppendInt(b, h.Size+int64(len(h.ID))+1, 10)
	b = append(b, '0', cr) // times 1024^0
	return append(append(b, h.ID...), cr)
}

// ParseBlock reads the head of a block from the start of b, and says how many
// bytes it has: 0 with no error if b has not all of it.
func ParseBlock(b []byte) (Block, int, error) {
	if len(b) > 0 && b[0] != '0' {
		return Block{}, 0, fmt.Errorf("%w: a block begins with %q", errWire, b[0])
	}
	end := bytes.IndexByte(b, cr)
	if end < 0 {
		if len(b) > maxBlockHead-maxBlockID-1 {
			return Block{}, 0, fmt.Errorf("%w: endless size of a block", errWire)
		}
		return Block{}, 0, nil
	}
	size, ok := parseSize(string(b[1:end]))
	if !ok {
		return Block{}, 0, fmt.Errorf("%w: size of a block", errWire)
	}
	id, _, whole := bytes.Cut(b[end+1:], []byte{cr})
	switch n := int64(len(id)) + 1; {
	case len(id) > maxBlockID:
		return Block{}, 0, fmt.Errorf("%w: endless id of a block", errWire)
	case size < n:
		return Block{}, 0, fmt.Errorf("%w: a block ends within its id", errWire)
	case !whole:
		return Block{}, 0, nil
	default:
		return Block{string(id), size - n}, end + 1 + int(n), nil
	}
}

// parseSize reads "[1-9][0-9]*[0-9A-Z], where last character is base 36
// numerical equivalent power of 1024".
func parseSize(s string) (int64, bool) {
	if len(s) < 2 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	digits, power := s[:len(s)-1], strings.IndexByte(base36, s[len(s)-1])
	if power < 0 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	for ; err == nil && power > 0; power-- {
		if n > math.MaxInt64>>10 {
			return 0, false
		}
		n <<= 10
	}
	return n, err == nil
}
