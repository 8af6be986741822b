package icon

import (
	"encoding/binary"
	"slices"
	"strings"
)

// isBare reports whether a file is a picture and nothing else: no camera's
// notes, no comment, no thumbnail of what it was cut from, nothing behind its
// end. Of GIF and WebP we do not ask: not every client reads the latter, and
// of the former we want the first frame only.
func isBare(b []byte, mime string) bool {
	switch mime {
	case "image/png":
		return isBarePNG(b)
	case "image/jpeg":
		return isBareJPEG(b)
	}
	return false
}

// plainChunks say how to show the pixels, and no more. PNG (3rd edition) §11
var plainChunks = []string{"IHDR", "PLTE", "IDAT", "tRNS", "gAMA", "cHRM", "sRGB", "sBIT", "bKGD", "pHYs"}

// isBarePNG: eight bytes, then chunks of length, name, data, checksum.
func isBarePNG(b []byte) bool {
	b = b[8:]
	for len(b) >= 12 {
		size := uint64(binary.BigEndian.Uint32(b)) + 12
		name := string(b[4:8])
		if name == "IEND" {
			return uint64(len(b)) == size
		}
		if size > uint64(len(b)) || !slices.Contains(plainChunks, name) {
			return false
		}
		b = b[size:]
	}
	return false
}

// Markers of JPEG: ITU-T T.81, table B.1
const (
	markTEM   = 0x01
	markRST0  = 0xd0
	markSOI   = 0xd8
	markEOI   = 0xd9
	markSOS   = 0xda
	markAPP0  = 0xe0
	markAPP1  = 0xe1
	markAPP14 = 0xee
	markAPP15 = 0xef
	markCOM   = 0xfe
)

// isBareJPEG: nothing but the JFIF header without a thumbnail, Adobe's note on
// colours, tables and pixels.
func isBareJPEG(b []byte) bool {
	bare := true
	end := eachSegment(b, func(mark byte, body []byte) {
		switch {
		case mark == markAPP0:
			bare = bare && strings.HasPrefix(string(body), "JFIF\x00") && len(body) == 14
		case mark == markAPP14:
			bare = bare && strings.HasPrefix(string(body), "Adobe") && len(body) == 12
		case mark > markAPP0 && mark <= markAPP15, mark == markCOM:
			bare = false
		}
	})
	return bare && end == len(b)
}

// eachSegment goes through the segments of a JPEG file and returns where it
// ends; -1: nowhere.
func eachSegment(b []byte, f func(mark byte, body []byte)) (end int) {
	i := 2
	for i+2 <= len(b) {
		if b[i] != 0xff {
			return -1
		}
		mark := b[i+1]
		switch {
		case mark == 0xff: // fill
			i++
			continue
		case mark == markEOI:
			return i + 2
		case mark == markTEM || mark >= markRST0 && mark <= markSOI:
			i += 2
			continue
		}
		if i+4 > len(b) {
			return -1
		}
		size := int(binary.BigEndian.Uint16(b[i+2:]))
		if size < 2 || i+2+size > len(b) {
			return -1
		}
		f(mark, b[i+4:i+2+size])
		i += 2 + size
		if mark == markSOS {
			i = afterPixels(b, i)
		}
	}
	return -1
}

// afterPixels is where the next marker is: within pixels 0xff is followed by
// zero, or by a restart marker.
func afterPixels(b []byte, i int) int {
	for i+1 < len(b) {
		if b[i] == 0xff && b[i+1] != 0 && (b[i+1] < markRST0 || b[i+1] >= markSOI) {
			return i
		}
		i++
	}
	return len(b)
}
