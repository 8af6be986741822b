package iconcache

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var base = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func picture(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 1000) }

// LL-15: the cache keeps by hash, over restarts, and expires.
func TestCacheOutlivesARestartAndExpires(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "icons")
	c := Open(Config{Dir: dir}, base)
	hash := c.Put(picture(1), base)
	c.Close()

	c = Open(Config{Dir: dir}, base.Add(29*24*time.Hour))
	if got := c.Get(hash, base.Add(29*24*time.Hour)); !bytes.Equal(got, picture(1)) {
		t.Fatalf("after 29 days: %d bytes", len(got))
	}
	c.Close()
	c = Open(Config{Dir: dir}, base.Add(58*24*time.Hour))
	if c.Get(hash, base.Add(58*24*time.Hour)) == nil {
		t.Error("29 days after its last use: gone")
	}
	if c.Get(hash, base.Add(89*24*time.Hour)) != nil {
		t.Error("31 days after its last use: still there")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestExpiredFilesAreRemovedAtStart(t *testing.T) {
	dir := t.TempDir()
	c := Open(Config{Dir: dir}, base)
	c.Put(picture(1), base)
	c.Close()
	Open(Config{Dir: dir}, base.Add(31*24*time.Hour)).Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestCacheNeverGrowsBeyondItsCaps(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": ""} {
		c := Open(Config{Dir: dir, MaxBytes: 3500, MaxFiles: 10}, base)
		var hashes []string
		for n := range 20 {
			hashes = append(hashes, c.Put(picture(n), base.Add(time.Duration(n)*time.Second)))
			if n > 0 {
				c.Get(hashes[0], base.Add(time.Duration(n)*time.Second+time.Millisecond))
			}
		}
		if c.bytes > 3500 || len(c.entries) != 3 {
			t.Errorf("%s: %d bytes, %d pictures", name, c.bytes, len(c.entries))
		}
		if c.Get(hashes[0], base.Add(time.Minute)) == nil || c.Get(hashes[1], base.Add(time.Minute)) != nil {
			t.Errorf("%s: it was not the least used that went", name)
		}
		c.Put(make([]byte, 4000), base)
		if len(c.entries) != 3 {
			t.Errorf("%s: what is larger than all of the cache drove out the rest", name)
		}
		c = Open(Config{Dir: "", MaxFiles: 2}, base)
		for n := range 5 {
			c.Put(picture(n), base)
		}
		if len(c.entries) != 2 {
			t.Errorf("%d pictures, want 2", len(c.entries))
		}
	}
}

func TestDamagedFilesAreNotBelieved(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"changed": func(f string) error { return os.WriteFile(f, picture(2), 0o600) },
		"cut":     func(f string) error { return os.Truncate(f, 10) },
		"empty":   func(f string) error { return os.Truncate(f, 0) },
		"removed": os.Remove,
		"a link": func(f string) error {
			if err := os.Remove(f); err != nil {
				return err
			}
			return os.Symlink("/etc/hostname", f)
		},
	} {
		dir := t.TempDir()
		c := Open(Config{Dir: dir}, base)
		hash := c.Put(picture(1), base)
		if err := damage(filepath.Join(dir, hash)); err != nil {
			t.Fatal(err)
		}
		if c.Get(hash, base) != nil {
			t.Errorf("%s: is believed", name)
		}
		c.Put(picture(1), base)
		if !bytes.Equal(c.Get(hash, base), picture(1)) {
			t.Errorf("%s: cannot be put again", name)
		}
		c.Close()
	}
}

func TestADirectoryThatCannotBeUsedIsNoError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := t.TempDir()
	for name, c := range map[string]*Cache{
		"a file": Open(Config{Dir: file}, base), "below a file": Open(Config{Dir: filepath.Join(file, "x")}, base),
		"taken away later": Open(Config{Dir: gone}, base),
	} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
		if hash := c.Put(picture(1), base); !bytes.Equal(c.Get(hash, base), picture(1)) {
			t.Errorf("%s: does not keep in memory", name)
		}
		c.Close()
	}
}

func TestFilesAreOursAloneAndOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"README", "0123", Hash(picture(3)) + ".new"} {
		if err := os.WriteFile(filepath.Join(dir, name), picture(3), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Open(Config{Dir: dir}, base)
	defer c.Close()
	hash := c.Put(picture(1), base)
	info, err := os.Stat(filepath.Join(dir, hash))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if got := fmt.Sprint(left); err != nil || len(left) != 3 {
		t.Errorf("files: %s, %v", got, err)
	}
	for _, hash := range []string{"../README", "README", "", Hash(picture(3))} {
		if c.Get(hash, base) != nil {
			t.Errorf("%q is a picture", hash)
		}
	}
}
