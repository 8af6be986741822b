package store

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func key(n int) (k [KeyLen]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	k[KeyLen-1] = 1
	return k
}

func keys(from, to int) (list [][KeyLen]byte) {
	for n := from; n < to; n++ {
		list = append(list, key(n))
	}
	return list
}

func ring(t testing.TB, path string, slots int) *Ring {
	t.Helper()
	r, err := OpenRing(path, slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func wantKeys(t *testing.T, r *Ring, want [][KeyLen]byte) {
	t.Helper()
	if got := slices.Collect(r.All()); !slices.Equal(got, want) {
		t.Errorf("keys are %x, want %x", got, want)
	}
}

// The newest keys are there, also to the next one who opens it, though nobody
// has closed it.
func TestARingHasTheNewestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ring")
	const slots = 10
	r := ring(t, path, slots)
	wantKeys(t, r, nil)
	for n := range 37 {
		r.Add(key(n))
		wantKeys(t, ring(t, path, slots), keys(max(0, n+1-slots), n+1))
	}
	r = ring(t, path, slots)
	r.Add(key(37))
	wantKeys(t, r, keys(28, 38))
	r.Remove(key(28))
	r.Remove(key(99))
	wantKeys(t, ring(t, path, slots), keys(29, 38))
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v: %v", fi.Mode(), err)
	}
}

func TestARingTakesKeysFromAnyGoroutine(t *testing.T) {
	r := ring(t, filepath.Join(t.TempDir(), "x.ring"), 4000)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 1000 {
				r.Add(key(1000*g + n))
			}
		})
	}
	wg.Wait()
	got := slices.Collect(r.All())
	slices.SortFunc(got, func(a, b [KeyLen]byte) int { return slices.Compare(a[:], b[:]) })
	if !slices.Equal(got, keys(0, 4000)) {
		t.Errorf("%d keys, want 4000", len(got))
	}
}

// What does not fit is begun anew; what is torn is at worst a key of nobody's.
func TestADamagedRingIsNoTrouble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ring")
	const slots = 8
	whole := func() []byte {
		r := ring(t, path, slots)
		defer r.Close()
		for n := range slots {
			r.Add(key(n))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	check := func(what string, file []byte, least int) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		r := ring(t, path, slots)
		defer r.Close()
		if got := slices.Collect(r.All()); len(got) < least {
			t.Errorf("%s: %d keys are left, want %d", what, len(got), least)
		}
		r.Add(key(100))
		if !slices.Contains(slices.Collect(r.All()), key(100)) {
			t.Errorf("%s: the new key is not there", what)
		}
	}
	for n := range whole { // cut off, and one byte wrong
		check(fmt.Sprintf("%d bytes", n), whole[:n], 0)
		wrong := slices.Clone(whole)
		wrong[n] ^= 0xff
		least := slots - 1
		if n < ringHeader {
			least = 0
		}
		check(fmt.Sprintf("byte %d", n), wrong, least)
	}
	check("too long", append(slices.Clone(whole), 0), 0)
	rnd := rand.NewChaCha8([32]byte{})
	for range 20 {
		garbage := slices.Clone(whole)
		rnd.Read(garbage[ringHeader:])
		check("garbage", garbage, slots)
	}
	r := ring(t, path, slots+1)
	wantKeys(t, r, nil)
}

// The file is cut off under a running program.
func TestARingWithoutItsFileRemembersNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ring")
	r := ring(t, path, 1000)
	r.Add(key(1))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	r.Add(key(2))
	r.Remove(key(2))
	wantKeys(t, r, nil)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r.Add(key(3))
}

func TestAddingToARingCostsNoMemory(t *testing.T) {
	r := ring(t, filepath.Join(t.TempDir(), "x.ring"), 1000)
	k := key(1)
	if n := testing.AllocsPerRun(100, func() { r.Add(k) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRingAdd(b *testing.B) {
	r := ring(b, filepath.Join(b.TempDir(), "x.ring"), 8192)
	k := key(1)
	for b.Loop() {
		r.Add(k)
	}
}

// ringEnv has the test's own program add keys to the ring of that name, and say
// each when it is there.
const ringEnv = "MESHGATE_TEST_RING"

// SM-12: a key that was added is there after the program was killed.
func TestARingSurvivesAKill(t *testing.T) {
	if path := os.Getenv(ringEnv); path != "" {
		addForEver(path)
	}
	path := filepath.Join(t.TempDir(), "x.ring")
	const slots, kills = 100, 5
	for kill := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestARingSurvivesAKill$")
		cmd.Env = append(os.Environ(), ringEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		n := 0
		for said.Scan() && n < 200*(kill+1) {
			n++
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for said.Scan() {
			n++
		}
		cmd.Wait() // says that it was killed
		got := slices.Collect(ring(t, path, slots).All())
		if !slices.Contains(got, key(n-1)) || len(got) != slots {
			t.Errorf("%d keys were said; the ring has %d, the last is %x", n, len(got), got[len(got)-1])
		}
	}
}

func addForEver(path string) {
	r, err := OpenRing(path, 100)
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		r.Add(key(n))
		fmt.Println(n)
	}
}
