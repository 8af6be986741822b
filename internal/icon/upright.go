package icon

import (
	"encoding/binary"
	"image"
	"strings"
)

const (
	tagOrientation = 0x0112 // TIFF 6.0 §8; EXIF 2.3 §4.6.4
	typeShort      = 3
	maxTags        = 512
)

// orientation is the way in which a camera was held, 1 to 8; 1: upright, also
// where nothing is said. It is lost with the rest of EXIF, so it has to be
// obeyed before.
func orientation(b []byte) int {
	found := 1
	eachSegment(b, func(mark byte, body []byte) {
		if exif, ok := strings.CutPrefix(string(body), "Exif\x00\x00"); ok && mark == markAPP1 && found == 1 {
			found = exifOrientation([]byte(exif))
		}
	})
	return found
}

// exifOrientation reads a TIFF file: byte order, 42, offset of the first
// directory, which has a count and entries of tag, type, count and value.
func exifOrientation(tiff []byte) int {
	var order binary.ByteOrder = binary.BigEndian
	switch {
	case len(tiff) < 8:
		return 1
	case string(tiff[:2]) == "II":
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	n := min(int(order.Uint16(tiff[at:])), maxTags)
	for dir := tiff[at+2:]; n > 0 && len(dir) >= 12; n, dir = n-1, dir[12:] {
		if order.Uint16(dir) == tagOrientation && order.Uint16(dir[2:]) == typeShort {
			if o := int(order.Uint16(dir[8:])); o >= 1 && o <= 8 {
				return o
			}
		}
	}
	return 1
}

// upright turns a picture as its orientation says.
func upright(img image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		out = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			to := turned(x, y, w, h, orientation)
			out.Set(to.X, to.Y, img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}

// turned is where a pixel of a picture of w by h goes.
func turned(x, y, w, h, orientation int) image.Point {
	switch orientation {
	case 2:
		return image.Pt(w-1-x, y)
	case 3:
		return image.Pt(w-1-x, h-1-y)
	case 4:
		return image.Pt(x, h-1-y)
	case 5:
		return image.Pt(y, x)
	case 6:
		return image.Pt(h-1-y, x)
	case 7:
		return image.Pt(h-1-y, w-1-x)
	case 8:
		return image.Pt(y, w-1-x)
	}
	return image.Pt(x, y)
}
