package linklocal

import (
	"io"
	"net"
	"testing"
)

// SM-12: a stanza is reported as soon as it is written, however long the one
// behind it takes; so is it only when all of it is.
func TestEachStanzaIsReportedWhenItIsWritten(t *testing.T) {
	l := newLoop(New(Config{}, new(fakeLAN).host("127.0.0.2")), nil)
	near, far := net.Pipe()
	defer near.Close()
	marks := make(chan string, 10)
	var b batch
	for _, text := range []string{"one", "", "two", "three"} { // the second is no stanza
		p := piece{bytes: []byte("<" + text + ">")}
		if text != "" {
			p.out = &outgoing{Outgoing: Outgoing{
				Mark: func(written bool) {
					if written {
						marks <- "mark " + text
					}
				},
				Done: func(err error) { marks <- "done " + text },
			}}
		}
		b.pieces = append(b.pieces, p)
	}
	wrote := make(chan int, 1)
	go func() {
		n, err := b.write(newMarker(near), func(o *outgoing) { l.finish(o, nil) })
		if err == nil {
			t.Error("all was written to a closed connection")
		}
		wrote <- n
	}()
	read := make([]byte, len("<one><><two><th"))
	if _, err := io.ReadFull(far, read); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mark one", "done one", "mark two", "done two"} {
		if got := <-marks; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	far.Close()
	if n := <-wrote; n != len(read) {
		t.Errorf("%d bytes written, want %d", n, len(read))
	}
	if len(marks) > 0 {
		t.Errorf("%s, though it was not written whole", <-marks)
	}
}
