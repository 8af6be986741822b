package icon

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"

	"golang.org/x/image/draw"
)

// minSide is as small as a picture is made, if need be, in pixels.
const minSide = 16

// Fit makes a picture that everybody can show: at most maxBytes long, at most
// maxSide pixels wide and high, PNG or JPEG, and without metadata. One that is
// so already is returned as it is. Of several frames the first is left.
//
// A photo carries the place where it was taken (EXIF), which a person may show
// to one side and not mean to tell the other.
func Fit(data []byte, maxBytes, maxSide int) (fitted []byte, mime string, err error) {
	return fit(data, maxBytes, maxSide, "image/png", "image/jpeg")
}

// keptBytes and keptSide bound what Keep returns, in bytes and pixels.
const (
	keptBytes = 32 << 10
	keptSide  = 256
)

// Keep checks a picture of which one is kept in memory for each person, and
// makes it smaller if it is large for that. Most are not, and are not decoded.
func Keep(data []byte) (kept []byte, mime string, err error) {
	info, err := Check(data)
	if err != nil || len(data) <= keptBytes {
		return data, info.Type, err
	}
	return Fit(data, keptBytes, keptSide)
}

// FitPNG is Fit where nothing but PNG will do.
func FitPNG(data []byte, maxBytes, maxSide int) ([]byte, error) {
	fitted, _, err := fit(data, maxBytes, maxSide, "image/png")
	return fitted, err
}

func fit(data []byte, maxBytes, maxSide int, mimes ...string) (fitted []byte, mime string, err error) {
	img, info, err := decode(data)
	if err != nil {
		return nil, "", err
	}
	if len(data) <= maxBytes && info.Width <= maxSide && info.Height <= maxSide &&
		slices.Contains(mimes, info.Type) && isBare(data, info.Type) {
		return data, info.Type, nil
	}
	return encodeWithin(img, maxBytes, maxSide, mimes)
}

// encodeWithin tries ever smaller pictures.
func encodeWithin(img image.Image, maxBytes, maxSide int, mimes []string) ([]byte, string, error) {
	ways := encodings(img, mimes)
	maxSide = min(maxSide, max(img.Bounds().Dx(), img.Bounds().Dy()))
	for side := maxSide; side >= min(minSide, maxSide) && side > 0; side = side * 3 / 4 {
		img = scale(img, side)
		for _, way := range ways {
			if b, err := way.encode(img); err == nil && len(b) <= maxBytes {
				return b, way.mime, nil
			}
		}
	}
	return nil, "", ErrNoFit
}

type encoding struct {
	mime   string
	encode func(image.Image) ([]byte, error)
}

// encodings are the ways to write a picture, the best first. What one can
// look through has only one.
func encodings(img image.Image, mimes []string) []encoding {
	asPNG := encoding{"image/png", func(img image.Image) ([]byte, error) {
		var b bytes.Buffer
		err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img)
		return b.Bytes(), err
	}}
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() || !slices.Contains(mimes, "image/jpeg") {
		return []encoding{asPNG}
	}
	asJPEG := func(quality int) encoding {
		return encoding{"image/jpeg", func(img image.Image) ([]byte, error) {
			var b bytes.Buffer
			err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
			return b.Bytes(), err
		}}
	}
	return []encoding{asJPEG(90), asJPEG(75), asJPEG(60)}
}

// scale makes the longer side of a picture so long, in pixels.
func scale(img image.Image, side int) *image.NRGBA {
	b := img.Bounds()
	w, h := side, side
	if b.Dx() > b.Dy() {
		h = max(1, side*b.Dy()/b.Dx())
	} else {
		w = max(1, side*b.Dx()/b.Dy())
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	return out
}

// mosaicSide is the size of a mosaic, in pixels.
const mosaicSide = 96

// Mosaic makes one square picture of the first four that can be read: PNG.
// Where there is none it fails.
func Mosaic(pictures [][]byte) ([]byte, error) {
	var imgs []image.Image
	for _, p := range pictures {
		if len(imgs) == 4 {
			break
		}
		if img, _, err := decode(p); err == nil {
			imgs = append(imgs, img)
		}
	}
	out := image.NewNRGBA(image.Rect(0, 0, mosaicSide, mosaicSide))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for i, tile := range tiles(len(imgs)) {
		draw.CatmullRom.Scale(out, tile, imgs[i], cover(imgs[i].Bounds(), tile), draw.Over, nil)
	}
	if len(imgs) == 0 {
		return nil, ErrFormat
	}
	var b bytes.Buffer
	err := png.Encode(&b, out)
	return b.Bytes(), err
}

// tiles are the places of n pictures: all of it, two halves, a half and two
// quarters, four quarters.
func tiles(n int) []image.Rectangle {
	const s, h = mosaicSide, mosaicSide / 2
	switch n {
	case 0:
		return nil
	case 1:
		return []image.Rectangle{image.Rect(0, 0, s, s)}
	case 2:
		return []image.Rectangle{image.Rect(0, 0, h, s), image.Rect(h, 0, s, s)}
	case 3:
		return []image.Rectangle{image.Rect(0, 0, h, s), image.Rect(h, 0, s, h), image.Rect(h, h, s, s)}
	}
	return []image.Rectangle{image.Rect(0, 0, h, h), image.Rect(h, 0, s, h), image.Rect(0, h, h, s), image.Rect(h, h, s, s)}
}

// cover is the middle of src that has the proportions of tile.
func cover(src, tile image.Rectangle) image.Rectangle {
	w, h := src.Dx(), src.Dy()
	if w*tile.Dy() > h*tile.Dx() {
		w = max(1, h*tile.Dx()/tile.Dy())
	} else {
		h = max(1, w*tile.Dy()/tile.Dx())
	}
	at := src.Min.Add(image.Pt((src.Dx()-w)/2, (src.Dy()-h)/2))
	return image.Rectangle{at, at.Add(image.Pt(w, h))}
}
