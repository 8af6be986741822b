package linklocal

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPresenceName(t *testing.T) {
	for _, tt := range []struct {
		user, machine string
		want          Instance
	}{
		{"juliet", "pronto", "juliet@pronto"},
		{"Jülia Čapek", "pronto", "Jülia Čapek@pronto"},
		{"first.last", "gw", "first.last@gw"},
		{"juliet@capulet.lit", "gw", "juliet-capulet.lit@gw"},
		{" a\tb\x00\u202e\n", "gw", "a b@gw"},
		{"e\u0301", "gw", "é@gw"}, // NFC
		{"\xff\xfe", "gw", "unnamed@gw"},
		{`back\slash`, "gw", "back-slash@gw"},
		{strings.Repeat("é", 40), "gw", Instance(strings.Repeat("é", 30) + "@gw")},
	} {
		if got := presenceName(tt.user, tt.machine); got != tt.want {
			t.Errorf("presenceName(%q, %q) = %q, want %q", tt.user, tt.machine, got, tt.want)
		}
	}
}

func TestCleanMachine(t *testing.T) {
	for in, want := range map[string]string{
		"forza": "forza", "forza.example.org": "forza", "büro pc": "b-ro-pc", "": "meshgate", "--": "meshgate",
		strings.Repeat("x", 80): strings.Repeat("x", maxMachine),
	} {
		if got := cleanMachine(in); got != want {
			t.Errorf("cleanMachine(%q) = %q, want %q", in, got, want)
		}
	}
}

// LL-05
func TestRenamedCountsUpBehindTheUser(t *testing.T) {
	for _, tt := range []struct {
		preferred string
		n         int
		digit     string
		hyphen    string
	}{
		{"romeo@forza", 1, "romeo1@forza", "romeo-1@forza"},
		{"romeo@forza", 2, "romeo2@forza", "romeo-2@forza"},
		{"romeo@forza", 12, "romeo12@forza", "romeo-12@forza"},
		{"romeo", 1, "romeo1", "romeo-1"},
		{strings.Repeat("é", 28) + "@forza", 10, strings.Repeat("é", 27) + "10@forza", strings.Repeat("é", 27) + "-10@forza"},
		{strings.Repeat("x", 57) + "@forza", 10, strings.Repeat("x", 55) + "10@forza", strings.Repeat("x", 54) + "-10@forza"},
	} {
		if got := RenameDigit.name(tt.preferred, tt.n); got != tt.digit {
			t.Errorf("%q, %d: %q, want %q", tt.preferred, tt.n, got, tt.digit)
		}
		if got := RenameHyphen.name(tt.preferred, tt.n); got != tt.hyphen {
			t.Errorf("%q, %d: %q, want %q", tt.preferred, tt.n, got, tt.hyphen)
		}
	}
}

func TestNamesAreAlwaysPublishable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := presenceName(rapid.String().Draw(t, "user"), cleanMachine(rapid.String().Draw(t, "machine")))
		rename := rapid.SampledFrom([]Rename{RenameDigit, RenameHyphen}).Draw(t, "rename")
		other := Instance(rename.name(string(name), rapid.IntRange(1, 1000).Draw(t, "n")))
		for _, i := range []Instance{name, other} {
			if !validName(i) || !utf8.ValidString(string(i)) || strings.Count(string(i), "@") != 1 {
				t.Fatalf("%q", i)
			}
		}
		if name == other || other.Machine() != name.Machine() {
			t.Fatalf("%q is renamed to %q", name, other)
		}
	})
}
