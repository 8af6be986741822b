package selfsigned

import (
	"crypto/sha256"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func keyOf(c tls.Certificate) [32]byte { return sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo) }

func keep(t *testing.T, file string, at time.Time) tls.Certificate {
	t.Helper()
	c, err := Keep(file, at)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	return c
}

func TestCertificateIsMadeOnceAndKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	first := keep(t, file, now)
	if d := first.Leaf.NotAfter.Sub(now); d < 10*365*24*time.Hour {
		t.Errorf("valid for %v", d)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	again := keep(t, file, now.AddDate(5, 0, 0))
	if string(again.Certificate[0]) != string(first.Certificate[0]) {
		t.Error("another certificate")
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// Peers know the key, so it stays when the certificate has to be another.
func TestOldCertificateIsRenewedWithTheSameKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	first := keep(t, file, now)
	later := now.AddDate(validYears-1, 6, 0)
	fresh := keep(t, file, later)
	if keyOf(fresh) != keyOf(first) || !fresh.Leaf.NotAfter.After(later.AddDate(10, 0, 0)) {
		t.Errorf("same key: %v, until %v", keyOf(fresh) == keyOf(first), fresh.Leaf.NotAfter)
	}
	if again := keep(t, file, later); string(again.Certificate[0]) != string(fresh.Certificate[0]) {
		t.Error("not kept")
	}
}

// The clock of a machine without a battery may have been years ahead.
func TestCertificateOfTheFutureIsRenewedWithTheSameKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	first := keep(t, file, now.AddDate(5, 0, 0))
	if fresh := keep(t, file, now); keyOf(fresh) != keyOf(first) || fresh.Leaf.NotBefore.After(now) {
		t.Errorf("same key: %v, from %v", keyOf(fresh) == keyOf(first), fresh.Leaf.NotBefore)
	}
}

func TestBrokenFileIsPutAside(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "text": "hello", "large": strings.Repeat("x", 1<<20)} {
		file := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		keep(t, file, now)
		if b, err := os.ReadFile(file + ".broken"); err != nil || string(b) != content {
			t.Errorf("%s: put aside: %d bytes, %v", name, len(b), err)
		}
	}
}

// A file that cannot be read for another reason must not be replaced: with
// another key all peers would refuse us.
func TestUnreadableFileIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if c, err := Keep(file, now); err == nil || len(c.Certificate) > 0 {
		t.Errorf("got %d certificates, %v", len(c.Certificate), err)
	}
}

func TestWithoutAPlaceForItThereIsACertificateAllTheSame(t *testing.T) {
	c, err := Keep(filepath.Join(t.TempDir(), "missing", "key.pem"), now)
	if err == nil || len(c.Certificate) != 1 {
		t.Errorf("got %d certificates, %v", len(c.Certificate), err)
	}
}
