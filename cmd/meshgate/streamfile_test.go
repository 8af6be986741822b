package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// No name of a sender's leads out of the directory, hides, or overwrites.
func TestNamesOfSendersAreMadeSafe(t *testing.T) {
	for offered, want := range map[string]string{
		"report.pdf":                     "report.pdf",
		"../../etc/passwd":               "passwd",
		"/etc/passwd":                    "passwd",
		`C:\Windows\a.exe`:               "a.exe",
		"..":                             nameless,
		".":                              nameless,
		"a/..":                           nameless,
		"":                               nameless,
		"a/":                             nameless,
		".bashrc":                        "bashrc",
		"-rf":                            "rf",
		"a\nb\x1b[31m\u202e.txt":         "a_b_[31m_.txt",
		"bad\xff":                        "bad_",
		"Größe 1.txt":                    "Größe 1.txt",
		strings.Repeat("x", 300) + ".gz": strings.Repeat("x", maxFileName-3) + ".gz",
	} {
		if got := safeName(offered); got != want {
			t.Errorf("%q becomes %q, want %q", offered, got, want)
		}
	}
}

func TestFilesAreNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	put := func(force bool, where, offered, text string) (string, error) {
		t.Helper()
		s, err := (&streamRun{o: &streamOptions{force: force}}).sink(where, offered)
		if err != nil {
			return "", err
		}
		defer s.abort()
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return s.commit()
	}
	target := filepath.Join(dir, "a.txt")
	for _, tt := range []struct {
		force              bool
		where, offered, as string // as "": it is refused
	}{
		{false, dir, "x/a.txt", target},
		{false, dir, "a.txt", filepath.Join(dir, "a-1.txt")},
		{false, target, "b", ""},
		{true, target, "b", target},
		{true, dir, "a.txt", target},
		{false, filepath.Join(dir, "new"), "b", filepath.Join(dir, "new")},
		{false, filepath.Join(dir, "none", "new"), "b", ""},
		{true, "/dev/null", "b", ""},
	} {
		as, err := put(tt.force, tt.where, tt.offered, tt.offered)
		if (err == nil) != (tt.as != "") || err == nil && as != " as "+tt.as {
			t.Errorf("%+v: %q, %v", tt, as, err)
		}
		if b, _ := os.ReadFile(tt.as); tt.as != "" && string(b) != tt.offered {
			t.Errorf("%+v: %q is there", tt, b)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 3 {
		t.Errorf("there are %v", list)
	}
	// Somebody else takes the name meanwhile.
	s, err := (&streamRun{o: &streamOptions{}}).sink(filepath.Join(dir, "race"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.abort()
	if err := os.WriteFile(filepath.Join(dir, "race"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if as, err := s.commit(); err == nil {
		t.Errorf("it was kept%s", as)
	}
}

func TestProgressIsSaidInWords(t *testing.T) {
	var p pace
	p.at = time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return p.at.Add(time.Duration(seconds * float64(time.Second))) }
	for _, tt := range []struct {
		n, total int64
		after    float64
		want     string
	}{
		{1 << 20, 11 << 20, 1, "1.0 MiB of 11.0 MiB  1.0 MiB/s  10s left"},
		{2 << 20, 11 << 20, 1, "2.0 MiB of 11.0 MiB  1.0 MiB/s  9s left"},
		{2 << 20, 11 << 20, 3, "2.0 MiB of 11.0 MiB  0 B/s"},
		{2<<20 + 512, 2<<20 + 512, 1, "2.0 MiB of 2.0 MiB  170 B/s"},
		{3 << 20, -1, 3, "3.0 MiB  341.2 KiB/s"},
	} {
		if got := p.line(tt.n, tt.total, at(tt.after)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	for d, want := range map[time.Duration]string{0: "1s", 65 * time.Second: "1m05s", 130 * time.Minute: "2h10m", 1e6 * time.Hour: "days"} {
		if got := leftWords(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestBytesAreReadWithUnits(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "500M": 500 << 20, "2G": 2 << 30, "1T": 1 << 40} {
		if got, err := parseBytes(s); got != want || err != nil {
			t.Errorf("%q is %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "M", "1MM", "1KM", "9999999T", "1.5G", "1 G"} {
		if got, err := parseBytes(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}
