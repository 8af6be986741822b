package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
)

// maxMark is the most bytes of a mark.
const maxMark = 255

// A Mark is a few bytes in a file of their own that may change thousands of
// times a second: they are there when the program has died, and if the power
// has failed they may be older, or gone. It belongs to one goroutine.
//
// The file holds the checksum of the rest (CRC-32, 4 bytes, big endian), the
// length (1 byte) and the bytes, all written at once.
type Mark struct {
	f   *os.File
	buf []byte
}

// OpenMark opens the mark in the file called path, and makes it if it is not
// there. Its directory has to be.
func OpenMark(path string) (*Mark, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Mark{f: f}, nil
}

// Get is what was set last; nil if that cannot be told.
func (m *Mark) Get() []byte {
	b := make([]byte, crc32.Size+1+maxMark)
	n, _ := m.f.ReadAt(b, 0) // a short file is an error with what there is
	b = b[:n]
	if len(b) <= crc32.Size || len(b) < crc32.Size+1+int(b[crc32.Size]) {
		return nil
	}
	b = b[:crc32.Size+1+int(b[crc32.Size])]
	if binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[crc32.Size:]) {
		return nil
	}
	return b[crc32.Size+1:]
}

// Set replaces it. It does not wait for the disk.
func (m *Mark) Set(value []byte) error {
	if len(value) > maxMark {
		return ErrTooLarge
	}
	b := append(m.buf[:0], 0, 0, 0, 0, byte(len(value)))
	b = append(b, value...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[crc32.Size:]))
	m.buf = b
	if _, err := m.f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Close closes the file.
func (m *Mark) Close() error { return m.f.Close() }
