package client

import (
	"io"
	"strings"
	"testing"
)

// A service may end its lines as it likes.
func TestLinesOfServices(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a\rb\r\r010\r", "a b  010\r"}, {"a\nb\n\n010\r", "a b  010\r"}, {"a\r\nb\r\n\r\n010\r", "a b  010\r"},
	} {
		in := newInput(strings.NewReader(tt.in))
		var got []string
		for range 3 {
			s, err := in.line()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		rest, _ := io.ReadAll(in)
		if s := strings.Join(got, " ") + " " + string(rest); s != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, s, tt.want)
		}
	}
	if _, err := newInput(strings.NewReader(strings.Repeat("x", 1<<20))).line(); err == nil {
		t.Error("a line of a megabyte was taken")
	}
}
