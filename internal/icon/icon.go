// Package icon deals with pictures of people: it says what is one, makes it
// small enough to be sent, and takes out of it what is nobody's business. It
// is pure.
//
// Pictures come from strangers. Nothing is decoded before its header has said
// that it is small enough, and nothing that is too long is looked at.
package icon

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"

	"golang.org/x/image/webp"
)

// Limits of a picture that is looked at.
const (
	MaxBytes  = 1 << 20 // of the file
	maxSide   = 4096    // pixels
	maxPixels = 2 << 20 // 8 MiB when decoded, 16 with 16 bits for a color
	maxScans  = 64      // of a progressive JPEG: each goes over all pixels again
)

// Reasons why something is not taken for a picture.
var (
	ErrFormat   = errors.New("icon: not PNG, JPEG, GIF or WebP")
	ErrTooLarge = errors.New("icon: too large")
	ErrDamaged  = errors.New("icon: damaged")
	ErrNoFit    = errors.New("icon: cannot be made small enough")
)

// Info is what the header of a picture says.
type Info struct {
	Type          string // "image/png"
	Width, Height int
}

// A format is a kind of picture that we read. It is known by its first bytes,
// never by what somebody says that it is.
type format struct {
	mime   string
	is     func([]byte) bool
	config func([]byte) (image.Config, error)
	decode func([]byte) (image.Image, error)
}

func formats() []format {
	begins := func(magic string) func([]byte) bool {
		return func(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }
	}
	return []format{
		{"image/png", begins("\x89PNG\r\n\x1a\n"),
			func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) }},
		{"image/jpeg", begins("\xff\xd8\xff"),
			func(b []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) }},
		{"image/gif", begins("GIF8"),
			func(b []byte) (image.Config, error) { return gif.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return gif.Decode(bytes.NewReader(b)) }}, // the first frame only
		{"image/webp", func(b []byte) bool { return len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" },
			func(b []byte) (image.Config, error) { return webp.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(b)) }},
	}
}

// Reads reports whether we read pictures of this type, as far as the name goes.
func Reads(mime string) bool {
	return slices.ContainsFunc(formats(), func(f format) bool { return f.mime == mime })
}

// Check reads the header of a picture.
func Check(data []byte) (Info, error) {
	_, info, err := check(data)
	return info, err
}

func check(data []byte) (format, Info, error) {
	if len(data) > MaxBytes {
		return format{}, Info{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(data))
	}
	for _, f := range formats() {
		if !f.is(data) {
			continue
		}
		cfg, err := f.config(data)
		info := Info{f.mime, cfg.Width, cfg.Height}
		switch {
		case err != nil:
			return f, info, fmt.Errorf("%w: %v", ErrDamaged, err)
		case cfg.Width < 1 || cfg.Height < 1:
			return f, info, fmt.Errorf("%w: no pixels", ErrDamaged)
		case cfg.Width > maxSide || cfg.Height > maxSide || cfg.Width*cfg.Height > maxPixels:
			return f, info, fmt.Errorf("%w: %d×%d pixels", ErrTooLarge, cfg.Width, cfg.Height)
		case f.mime == "image/jpeg" && bytes.Count(data, []byte{0xff, markSOS}) > maxScans:
			return f, info, fmt.Errorf("%w: too many scans", ErrTooLarge)
		}
		return f, info, nil
	}
	return format{}, Info{}, ErrFormat
}

// decode reads a picture, turned the right way up.
func decode(data []byte) (image.Image, Info, error) {
	f, info, err := check(data)
	if err != nil {
		return nil, info, err
	}
	img, err := f.decode(data)
	if err != nil {
		return nil, info, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	// A frame of a GIF may say something else than the header.
	if b := img.Bounds(); b.Empty() || b.Dx() > info.Width || b.Dy() > info.Height {
		return nil, info, fmt.Errorf("%w: not of the size that it says", ErrDamaged)
	}
	if info.Type == "image/jpeg" {
		img = upright(img, orientation(data))
	}
	return img, info, nil
}
