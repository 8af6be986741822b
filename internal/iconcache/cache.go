// Package iconcache keeps pictures by the SHA-1 of their bytes, on disk or in
// memory, until nobody has asked for them for a while.
//
// It is only a cache: a disk that is damaged or full makes pictures come over
// the network again, and is no error. A picture is a file of mode 0600 whose
// name is its hash in hex and whose modification time is when it was last
// used. What is read is compared with the hash, so nothing that somebody else
// put there is believed.
package iconcache

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config bounds a Cache. Zero fields mean the defaults.
type Config struct {
	Dir      string        // made if it is not there; "": in memory
	MaxAge   time.Duration // since the last use; default 30 days
	MaxBytes int           // in all; default 16 MiB, in memory 4 MiB
	MaxFiles int           // default 4096
	Log      *slog.Logger  // nil: none
}

const (
	// touchAfter is how much a file's time may be behind: not each use is worth
	// a write.
	touchAfter = 24 * time.Hour
	dirMode    = 0o700
	fileMode   = 0o600
	tempSuffix = ".new"
)

// A Cache may be used from any goroutine. Its methods read and write files.
type Cache struct {
	cfg Config

	mu      sync.Mutex // guards what follows, and the directory
	dir     *os.Root   // nil: in memory
	entries map[string]*entry
	bytes   int
	failed  bool // writing did: it has been said
}

type entry struct {
	size int
	used time.Time
	data []byte // nil: on disk
}

// Open reads what is there. Where the directory cannot be used the cache is in
// memory.
func Open(cfg Config, now time.Time) *Cache {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.MaxAge = cmp.Or(cfg.MaxAge, 30*24*time.Hour)
	if cfg.Dir == "" {
		cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 4<<20)
	}
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 16<<20)
	cfg.MaxFiles = cmp.Or(cfg.MaxFiles, 4096)
	c := &Cache{cfg: cfg, entries: make(map[string]*entry)}
	if cfg.Dir == "" {
		return c
	}
	if err := c.open(); err != nil {
		cfg.Log.Warn("icon cache cannot be used, icons are kept in memory", "dir", cfg.Dir, "err", err)
		return c
	}
	c.shrink(now)
	return c
}

func (c *Cache) open() error {
	if err := os.MkdirAll(c.cfg.Dir, dirMode); err != nil {
		return err
	}
	dir, err := os.OpenRoot(c.cfg.Dir)
	if err != nil {
		return err
	}
	f, err := dir.Open(".")
	if err != nil {
		dir.Close()
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		dir.Close()
		return err
	}
	c.dir = dir
	for _, name := range names {
		c.found(name)
	}
	return nil
}

// found takes in a file that is there. What is not ours is left alone.
func (c *Cache) found(name string) {
	if hash, ok := strings.CutSuffix(name, tempSuffix); ok && isHash(hash) {
		c.dir.Remove(name) // the rest of a write that was cut short
		return
	}
	info, err := c.dir.Lstat(name)
	if err != nil || !isHash(name) || !info.Mode().IsRegular() {
		return
	}
	if info.Size() > int64(c.cfg.MaxBytes) {
		c.dir.Remove(name)
		return
	}
	c.add(name, &entry{size: int(info.Size()), used: info.ModTime()})
}

// Close ends the use of the directory.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir != nil {
		c.dir.Close()
	}
}

// Get returns the picture with this hash, hex in any case; nil if it is not
// there. The picture must not be changed.
func (c *Cache) Get(hash string, now time.Time) []byte {
	hash = strings.ToLower(hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[hash]
	if e == nil {
		return nil
	}
	if now.Sub(e.used) > c.cfg.MaxAge {
		c.remove(hash)
		return nil
	}
	data := e.data
	if data == nil {
		data, _ = c.dir.ReadFile(hash) // what cannot be read does not have the hash
		if Hash(data) != hash {
			c.cfg.Log.Debug("damaged icon removed from the cache", "hash", hash)
			c.remove(hash)
			return nil
		}
	}
	if now.Sub(e.used) > touchAfter && e.data == nil {
		_ = c.dir.Chtimes(hash, now, now) // then it expires sooner
	}
	e.used = now
	return data
}

// Put keeps a picture, which must not be changed any more, and returns its hash.
func (c *Cache) Put(data []byte, now time.Time) (hash string) {
	hash = Hash(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[hash] != nil || len(data) == 0 || len(data) > c.cfg.MaxBytes {
		return hash
	}
	e := &entry{size: len(data), used: now, data: data}
	if c.dir != nil {
		if err := c.write(hash, data, now); err == nil {
			e.data = nil
		} else if !c.failed {
			c.failed = true
			c.cfg.Log.Warn("icon cache cannot be written, icons are kept in memory", "dir", c.cfg.Dir, "err", err)
		}
	}
	c.add(hash, e)
	c.shrink(now)
	return hash
}

// write makes a file that is there whole or not at all.
func (c *Cache) write(hash string, data []byte, now time.Time) error {
	temp := hash + tempSuffix
	err := c.dir.WriteFile(temp, data, fileMode)
	if err == nil {
		err = c.dir.Chtimes(temp, now, now)
	}
	if err == nil {
		err = c.dir.Rename(temp, hash)
	}
	if err != nil {
		c.dir.Remove(temp)
	}
	return err
}

func (c *Cache) add(hash string, e *entry) {
	c.entries[hash] = e
	c.bytes += e.size
}

func (c *Cache) remove(hash string) {
	e := c.entries[hash]
	delete(c.entries, hash)
	c.bytes -= e.size
	if e.data == nil {
		c.dir.Remove(hash)
	}
}

// shrink takes out what has expired, and what was not used for longest where
// there is too much.
func (c *Cache) shrink(now time.Time) {
	var oldest []string
	for hash, e := range c.entries {
		if now.Sub(e.used) > c.cfg.MaxAge {
			c.remove(hash)
		} else {
			oldest = append(oldest, hash)
		}
	}
	if len(c.entries) <= c.cfg.MaxFiles && c.bytes <= c.cfg.MaxBytes {
		return
	}
	slices.SortFunc(oldest, func(a, b string) int { return c.entries[a].used.Compare(c.entries[b].used) })
	for _, hash := range oldest {
		if len(c.entries) <= c.cfg.MaxFiles && c.bytes <= c.cfg.MaxBytes {
			return
		}
		c.remove(hash)
	}
}

// Hash is the SHA-1 of a picture in hex, lower case, as phsh and both kinds of
// avatars say it.
func Hash(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha1.Size && s == strings.ToLower(s)
}
