package icon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"
)

// noisy is a picture that does not compress.
func noisy(w, h int, alpha uint8) *image.NRGBA {
	rnd := rand.New(rand.NewPCG(1, 2))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(rnd.Uint32())
		if i%4 == 3 {
			img.Pix[i] = alpha
		}
	}
	return img
}

func uniform(w, h int, c color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	return img
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asGIF(t testing.TB, frames ...color.Color) []byte {
	t.Helper()
	g := &gif.GIF{}
	for _, c := range frames {
		img := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{c, color.White})
		g.Image, g.Delay = append(g.Image, img), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withChunk puts a chunk behind a PNG's header.
func withChunk(b []byte, name string, body []byte) []byte {
	const header = 8 + 25
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, name...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return append(append(bytes.Clone(b[:header]), chunk...), b[header:]...)
}

// withSegment puts a segment behind a JPEG's first marker.
func withSegment(b []byte, mark byte, body []byte) []byte {
	seg := binary.BigEndian.AppendUint16([]byte{0xff, mark}, uint16(len(body)+2))
	return append(append(bytes.Clone(b[:2]), append(seg, body...)...), b[2:]...)
}

// exif says how the camera was held, and where.
func exif(orientation byte) []byte {
	return []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(orientation) + "\x00\x00 GPS: 48.137 N 11.575 E")
}

func TestWhatAPictureIsItsContentSays(t *testing.T) {
	img := uniform(8, 6, color.White)
	for mime, data := range map[string][]byte{
		"image/png": asPNG(t, img), "image/jpeg": asJPEG(t, img), "image/gif": asGIF(t, color.Black),
		"image/webp": []byte(tinyWebP),
	} {
		info, err := Check(data)
		if err != nil || info.Type != mime || info.Width == 0 {
			t.Errorf("%s is %+v, %v", mime, info, err)
		}
	}
	for _, data := range []string{"", "<svg xmlns='http://www.w3.org/2000/svg'/>", "BM\x00\x00", "\x89PN"} {
		if _, err := Check([]byte(data)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v, want ErrFormat", data, err)
		}
	}
}

// tinyWebP is one pixel, lossless: VP8L.
const tinyWebP = "RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"

func TestHostilePicturesAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	bomb := asPNG(t, uniform(8, 8, color.White))
	binary.BigEndian.PutUint32(bomb[16:], 30000) // width, height of IHDR
	binary.BigEndian.PutUint32(bomb[20:], 30000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	many := asJPEG(t, uniform(8, 8, color.White))
	for range maxScans {
		many = append(many, 0xff, markSOS)
	}
	for name, data := range map[string][]byte{
		"pixels": bomb, "bytes": make([]byte, MaxBytes+1), "scans": many,
	} {
		if _, err := Check(data); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
		if _, _, err := Fit(data, 8500, 96); err == nil {
			t.Errorf("%s: fits", name)
		}
	}
}

func TestTruncatedPicturesAreRefused(t *testing.T) {
	img := noisy(16, 16, 255)
	for _, data := range [][]byte{asPNG(t, img), asJPEG(t, img), asGIF(t, color.Black)} {
		for n := range len(data) - 16 {
			if got, _, err := Fit(data[:n], 1<<20, 96); err == nil {
				if _, err := Check(got); err != nil {
					t.Fatalf("%d of %d bytes give something that is no picture", n, len(data))
				}
				if n < len(data)/2 {
					t.Fatalf("%d of %d bytes are a picture", n, len(data))
				}
			}
		}
	}
}

func TestFitLeavesAloneWhatFits(t *testing.T) {
	img := noisy(40, 30, 255)
	for _, data := range [][]byte{asPNG(t, img), asJPEG(t, img)} {
		got, mime, err := Fit(data, len(data), 40)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: changed, or %v", mime, err)
		}
	}
}

func TestFitMakesSmall(t *testing.T) {
	for name, tc := range map[string]struct {
		img  image.Image
		mime string
	}{
		"opaque":            {noisy(400, 300, 255), "image/jpeg"},
		"one looks through": {noisy(300, 400, 128), "image/png"},
		"very wide":         {noisy(4000, 1, 255), "image/jpeg"},
	} {
		data := asPNG(t, tc.img)
		got, mime, err := Fit(data, 8500, 96)
		if err != nil || mime != tc.mime || len(got) > 8500 {
			t.Errorf("%s: %d bytes of %s, %v", name, len(got), mime, err)
			continue
		}
		info, err := Check(got)
		if err != nil || info.Type != mime || info.Width > 96 || info.Height > 96 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	got, err := FitPNG(asJPEG(t, noisy(200, 200, 255)), 8500, 96)
	if info, _ := Check(got); err != nil || info.Type != "image/png" || len(got) > 8500 {
		t.Errorf("as PNG: %d bytes of %+v, %v", len(got), info, err)
	}
	if _, _, err := Fit(asPNG(t, noisy(64, 64, 255)), 50, 96); !errors.Is(err, ErrNoFit) {
		t.Errorf("50 bytes: %v, want ErrNoFit", err)
	}
}

func TestKeepLeavesMostAlone(t *testing.T) {
	small, large := asPNG(t, noisy(60, 60, 255)), asPNG(t, noisy(300, 300, 255))
	if got, mime, err := Keep(small); err != nil || mime != "image/png" || !bytes.Equal(got, small) {
		t.Errorf("%d of %d bytes, %s, %v", len(got), len(small), mime, err)
	}
	got, mime, err := Keep(large)
	if info, _ := Check(got); err != nil || len(got) > keptBytes || info.Type != mime {
		t.Errorf("%d of %d bytes, %s, %v", len(got), len(large), mime, err)
	}
	if _, _, err := Keep([]byte("no picture")); err == nil {
		t.Error("kept what is none")
	}
}

// A photo does not tell the other side where it was taken.
func TestFitStripsMetadata(t *testing.T) {
	p, j := asPNG(t, noisy(20, 20, 255)), asJPEG(t, noisy(20, 20, 255))
	for name, data := range map[string][]byte{
		"EXIF in PNG":      withChunk(p, "eXIf", []byte("GPS: 48.137 N")),
		"text in PNG":      withChunk(p, "tEXt", []byte("Comment\x00GPS: 48.137 N")),
		"behind PNG":       append(bytes.Clone(p), "GPS: 48.137 N"...),
		"EXIF in JPEG":     withSegment(j, markAPP1, exif(1)),
		"comment in JPEG":  withSegment(j, markCOM, []byte("GPS: 48.137 N")),
		"thumbnail":        withSegment(j, markAPP0, []byte("JFXX\x00\x10GPS: 48.137 N")),
		"behind JPEG":      append(bytes.Clone(j), "GPS: 48.137 N"...),
		"comment in a GIF": append(asGIF(t, color.Black), "GPS: 48.137 N"...),
	} {
		got, _, err := Fit(data, 1<<20, 96)
		if err != nil || bytes.Contains(got, []byte("GPS")) {
			t.Errorf("%s: is still there, or %v", name, err)
		}
	}
}

func TestFitTurnsWhatWasPhotographedLyingDown(t *testing.T) {
	img := uniform(40, 20, color.White)
	for y := range 20 {
		for x := range 20 {
			img.Set(x, y, color.Black) // the left half
		}
	}
	for o, black := range map[byte]image.Point{1: {5, 10}, 2: {35, 10}, 3: {35, 10}, 4: {5, 10}, 5: {10, 5}, 6: {10, 5}, 7: {10, 35}, 8: {10, 35}} {
		got, _, err := decode(mustFit(t, withSegment(asJPEG(t, img), markAPP1, exif(o))))
		if err != nil {
			t.Fatal(err)
		}
		if r, _, _, _ := got.At(black.X, black.Y).RGBA(); r > 0x4000 {
			t.Errorf("orientation %d: not black at %v of %v", o, black, got.Bounds())
		}
	}
}

func mustFit(t *testing.T, data []byte) []byte {
	t.Helper()
	got, _, err := Fit(data, 1<<20, 96)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOfAnAnimationTheFirstFrameIsLeft(t *testing.T) {
	img, info, err := decode(mustFit(t, asGIF(t, color.Black, color.White)))
	if err != nil || info.Type == "image/gif" {
		t.Fatalf("%+v, %v", info, err)
	}
	if r, _, _, _ := img.At(4, 4).RGBA(); r > 0x4000 {
		t.Error("another frame than the first")
	}
}

func TestMosaicShowsUpToFour(t *testing.T) {
	colors := []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 0, 255}, {0, 0, 0, 255}}
	var pictures [][]byte
	for n, c := range colors {
		pictures = append(pictures, []byte("no picture"), asPNG(t, uniform(10+n, 30, c)))
		b, err := Mosaic(pictures)
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := decode(b)
		if err != nil || img.Bounds() != image.Rect(0, 0, mosaicSide, mosaicSide) {
			t.Fatalf("%d pictures: %v, %v", n+1, img, err)
		}
		for i, tile := range tiles(min(n+1, 4)) {
			at := tile.Min.Add(tile.Size().Div(2))
			if got := color.NRGBAModel.Convert(img.At(at.X, at.Y)); got != colors[i] {
				t.Errorf("%d pictures: %v at %v, want %v", n+1, got, at, colors[i])
			}
		}
	}
	if _, err := Mosaic(pictures[:1]); err == nil {
		t.Error("a mosaic of nothing")
	}
}

func FuzzFit(f *testing.F) {
	img := noisy(12, 12, 255)
	f.Add(asPNG(f, img))
	f.Add(asPNG(f, noisy(12, 12, 100)))
	f.Add(withSegment(asJPEG(f, img), markAPP1, exif(6)))
	f.Add(asGIF(f, color.Black, color.White))
	f.Add([]byte(tinyWebP))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Check(data); err != nil {
			return
		}
		got, mime, err := Fit(data, 2000, 48)
		if err != nil {
			return
		}
		info, err := Check(got)
		if err != nil || info.Type != mime || len(got) > 2000 || info.Width > 48 || info.Height > 48 || !isBare(got, mime) {
			t.Fatalf("does not fit: %d bytes, %s, %+v, %v", len(got), mime, info, err)
		}
	})
}
