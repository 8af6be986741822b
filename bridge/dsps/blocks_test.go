package dsps

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var errSilence = errors.New("silence")

// A trickle gives what it has in pieces, and then says that nothing more comes:
// who reads it again would wait.
type trickle struct {
	data  []byte
	piece func() int
}

func (r *trickle) Read(b []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, errSilence
	}
	n := copy(b[:min(len(b), r.piece())], r.data)
	r.data = r.data[n:]
	return n, nil
}

// DS-10: however blocks come and are read, all that has come is read before
// anything is waited for, and each byte is of the right peer.
func TestBlocksAreReadWhateverTheSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		var want strings.Builder // the id in front of each byte
		for range rapid.IntRange(0, 20).Draw(t, "blocks") {
			id := rapid.SampledFrom([]string{"", "1", "42", "a-long-one"}).Draw(t, "id")
			data := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 7, 99, 100, 5000}).Draw(t, "size"))
			wire = append(AppendBlock(wire, Block{id, int64(len(data))}), data...)
			want.WriteString(strings.ReplaceAll(data, "x", id+"x"))
		}
		sizes := rapid.SampledFrom([]int{1, 2, 5, 64, 1000, 1 << 20})
		r := NewBlockReader(&trickle{wire, func() int { return sizes.Draw(t, "piece") }})
		var got strings.Builder
		for {
			b := make([]byte, sizes.Draw(t, "buffer"))
			n, err := r.Read(b)
			got.WriteString(strings.ReplaceAll(string(b[:n]), "x", r.ID()+"x"))
			if err == errSilence {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("got %d bytes, want %d, or others", got.Len(), want.Len())
		}
	})
}

// A block that comes as the one before it did costs one read.
func TestBlockIsOneRead(t *testing.T) {
	const blocks, size = 10, 1000
	var wire []byte
	for range blocks {
		wire = append(AppendBlock(wire, Block{"1", size}), make([]byte, size)...)
	}
	reads := 0
	r := NewBlockReader(&trickle{wire, func() int { reads++; return size + headroom }})
	for b := make([]byte, 2*size); ; {
		n, err := r.Read(b)
		if err != nil {
			break
		}
		if n != size {
			t.Fatalf("%d bytes of %d", n, size)
		}
	}
	if firstHead := len(AppendBlock(nil, Block{"1", size})); reads != firstHead+blocks {
		t.Errorf("%d reads of %d blocks", reads, blocks)
	}
}

func FuzzBlockReader(f *testing.F) {
	f.Add([]byte("0340\r010\rthis is the data in ASCII form071\r\r"), uint8(3))
	f.Add([]byte("021\r1\rmany099\r"), uint8(0))
	f.Fuzz(func(t *testing.T, wire []byte, size uint8) {
		r := NewBlockReader(&trickle{wire, func() int { return int(size) + 1 }})
		b := make([]byte, int(size)+1)
		var got strings.Builder
		for {
			n, err := r.Read(b)
			got.WriteString(labelled(r.ID(), string(b[:n])))
			if err != nil {
				break
			}
		}
		if want := dumbBlocks(string(wire)); got.String() != want {
			t.Errorf("%q:\n got %q\nwant %q", wire, got.String(), want)
		}
	})
}
