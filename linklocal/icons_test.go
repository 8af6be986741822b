package linklocal

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/internal/iconcache"
)

// portrait is a small picture, another for each shade.
func portrait(t testing.TB, shade uint8) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = shade
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// photo is a picture that does not compress, in which it says where it was taken.
func photo(t testing.TB) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, servedSide, servedSide))
	for i := range img.Pix {
		img.Pix[i] = uint8(rnd.Uint32())
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	const comment = "\xff\xfe\x00\x09GPS: 48"
	return slices.Concat(b.Bytes()[:2], []byte(comment[:11]), b.Bytes()[2:])
}

func (d *fakeDNS) null(instance Instance) []byte {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	return d.nulls[string(instance)]
}

func (l *fakeLAN) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.fetched)
}

// LL-15: a contact's icon is served as a NULL record that fits into one packet,
// with phsh its SHA-1; the record is there before its hash is.
func TestLL15IconsAreServedAndFit(t *testing.T) {
	t.Parallel() // it waits for caches to forget
	a, b := twoNodes(t, Config{})
	before := ""
	for i, tt := range []struct {
		icon *Icon
		same bool // served as it is
	}{
		{&Icon{Data: portrait(t, 1)}, true},
		{&Icon{Data: photo(t)}, false},
		{nil, false},
	} {
		if err := a.Publish(Contact{ID: "c", User: "juliet", Icon: tt.icon}); err != nil {
			t.Fatal(err)
		}
		wait1(t, b.recorder, "phsh", func(ev PeerChanged) bool {
			served := a.dns.null(a.name)
			want := ""
			if served != nil {
				want = iconcache.Hash(served)
			}
			return ev.Peer.Presence.PHSH == want && want != before
		})
		served := a.dns.null(a.name)
		if before = ""; served != nil {
			before = iconcache.Hash(served)
		}
		if (served == nil) != (tt.icon == nil) || len(served) > 8500 || len(served) > 65535 || bytes.Contains(served, []byte("GPS")) {
			t.Errorf("picture %d: %d bytes", i, len(served))
		}
		if tt.same && !bytes.Equal(served, tt.icon.Data) {
			t.Errorf("picture %d was changed", i)
		}
	}
	a.dns.lan.mu.Lock()
	defer a.dns.lan.mu.Unlock()
	hash := iconcache.Hash(portrait(t, 1))
	null, txt := slices.Index(a.dns.order, "NULL "+hash), slices.Index(a.dns.order, "TXT "+hash)
	if null < 0 || txt < null {
		t.Errorf("order of records: %q", a.dns.order)
	}
	// The second picture's hash is said when no cache has the first one any
	// more. (The time that counts is noted before the record is changed here.)
	null = slices.IndexFunc(a.dns.order, func(s string) bool { return strings.HasPrefix(s, "NULL") && s != "NULL "+hash })
	txt = slices.Index(a.dns.order, strings.Replace(a.dns.order[null], "NULL", "TXT", 1))
	if txt < null || a.dns.orderAt[txt].Sub(a.dns.orderAt[null]) < iconStale-time.Second {
		t.Errorf("order of records: %q at %v", a.dns.order, a.dns.orderAt)
	}
}

// LL-17: a contact whose icon may not be published has neither record.
func TestLL17IconsAreOnlyServedIfAllowed(t *testing.T) {
	a, b := twoNodes(t, Config{Publish: &PublishKeys{Nick: true}})
	c := Contact{ID: "c", User: "juliet", Icon: &Icon{Data: portrait(t, 1)}, Presence: Presence{Nick: "J"}}
	if err := a.Publish(c); err != nil {
		t.Fatal(err)
	}
	c.ID, c.User, c.Publish = "d", "nurse", &PublishKeys{Icon: true}
	if err := a.Publish(c); err != nil {
		t.Fatal(err)
	}
	// They are made to fit one after the other.
	var served Instance
	wait1(t, b.recorder, "the other", func(ev Event) bool {
		var p Peer
		switch ev := ev.(type) {
		case PeerAppeared: // or, if that was told before, PeerChanged
			p = ev.Peer
		case PeerChanged:
			p = ev.Peer
		}
		served = p.Instance
		return p.Presence.PHSH != ""
	})
	if a.dns.null(served) == nil || a.dns.null(a.name) != nil || served == a.name {
		t.Errorf("served of %s", served)
	}
}

// inBubble runs a Service that publishes nobody, on a LAN with one other host.
func inBubble(t *testing.T, cfg Config, test func(t *testing.T, n *node, peers *fakeDNS)) {
	synctest.Test(t, func(t *testing.T) {
		lan := new(fakeLAN)
		peers := lan.host("127.0.0.3")
		n := start(t, lan.host("127.0.0.2"), "", cfg)
		test(t, n, peers)
		n.stop()
	})
}

func (d *fakeDNS) setNull(instance string, data []byte) {
	d.lan.mu.Lock()
	defer d.lan.mu.Unlock()
	d.nulls[instance] = data
}

func phsh(data []byte) string { return "phsh=" + iconcache.Hash(data) }

// icons are the pictures that the Handler was told, by their first hash digits.
func (r *recorder) icons() (got []string) {
	evs, _ := r.all()
	appeared := map[string]bool{}
	for _, ev := range evs {
		switch ev := ev.(type) {
		case PeerAppeared:
			appeared[ev.Peer.Instance.Key()] = true
		case PeerIcon:
			switch {
			case !appeared[ev.Instance.Key()]:
				got = append(got, "before its peer")
			case ev.Icon == nil:
				got = append(got, "none")
			default:
				got = append(got, ev.Icon.Type+" "+iconcache.Hash(ev.Icon.Data))
			}
		}
	}
	return got
}

// LL-15: a changed phsh fetches the new icon, a known one comes from the
// cache, none takes it away.
func TestLL15ChangedIconsAreFetchedAndKnownOnesAreNot(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, n *node, peers *fakeDNS) {
		first, second := portrait(t, 1), portrait(t, 2)
		said := func(data []byte) string { return "image/png " + iconcache.Hash(data) }
		var want []string
		check := func(why string, asked int, icons ...string) {
			t.Helper()
			time.Sleep(iconInterval)
			synctest.Wait()
			if want = append(want, icons...); !slices.Equal(n.icons(), want) {
				t.Fatalf("%s: told of %q, want %q", why, n.icons(), want)
			}
			if got := peers.lan.asked(); got != asked {
				t.Fatalf("%s: asked %d times, want %d", why, got, asked)
			}
		}
		peers.setNull("romeo@h", first)
		peers.peer(t, "romeo@h", 5298, phsh(first))
		check("first", 1, said(first))
		peers.SetText("romeo@h", []string{phsh(first), "msg=busy"})
		check("same", 1)
		peers.setNull("romeo@h", second)
		peers.SetText("romeo@h", []string{strings.ToUpper(phsh(second))})
		check("changed", 2, said(second))
		peers.SetText("romeo@h", []string{phsh(first)})
		check("known", 2, said(first))
		peers.SetText("romeo@h", []string{"txtvers=1"})
		check("none", 2, "none")
		peers.peer(t, "mercutio@h", 5298, phsh(first))
		check("known of another", 2, said(first))
		if s := n.Stats(); s.IconsAsked != 2 || s.IconsCached != 2 || s.IconsBad != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

// LL-15: the bytes are believed only if they have the hash, and are a picture.
func TestLL15OtherBytesAreNotTheIcon(t *testing.T) {
	good, noPicture := portrait(t, 1), []byte("<svg onload='alert(1)'/>")
	inBubble(t, Config{}, func(t *testing.T, n *node, peers *fakeDNS) {
		peers.setNull("old@h", portrait(t, 2)) // COMPAT avahi: from a cache
		peers.setNull("svg@h", noPicture)
		peers.peer(t, "old@h", 5298, phsh(good))
		peers.peer(t, "svg@h", 5298, phsh(noPicture))
		peers.peer(t, "odd@h", 5298, "phsh=../../etc/passwd")
		time.Sleep(5 * time.Second)
		if got := n.icons(); len(got) != 0 {
			t.Fatalf("told of %q", got)
		}
		peers.setNull("old@h", good)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := n.icons(); !slices.Equal(got, []string{"image/png " + iconcache.Hash(good)}) {
			t.Errorf("told of %q", got)
		}
		if asked := peers.lan.asked(); asked != 3 {
			t.Errorf("asked %d times, want 3", asked)
		}
	})
}

// Pictures of peers are bounded in number and size, and small ones again find
// room when large ones have gone.
func TestIconsInMemoryAreBounded(t *testing.T) {
	r := newRoster(100)
	large := func() *Icon { return &Icon{Data: make([]byte, maxIconBytes/10)} }
	fits := 0
	for n := range 20 {
		i := Instance(strings.Repeat("x", n+1))
		r.set(Peer{Instance: i})
		if r.setIcon(i, large()) {
			fits++
		}
	}
	if fits != 10 || r.iconBytes() > maxIconBytes {
		t.Errorf("%d fit, %d bytes", fits, r.iconBytes())
	}
	if r.setIcon("x", &Icon{Data: make([]byte, maxIconBytes/10)}) != true {
		t.Error("one cannot replace its own")
	}
	r.remove("xx")
	if !r.setIcon(Instance(strings.Repeat("x", 20)), large()) {
		t.Error("no room where one has gone")
	}
}

// LL-15, LL-08: the question ends when the peer has gone.
func TestLL15AFetchEndsWithItsPeer(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, n *node, peers *fakeDNS) {
		peers.lan.hold = true
		peers.peer(t, "romeo@h", 5298, phsh(portrait(t, 1)))
		synctest.Wait()
		peers.Unregister("romeo@h")
		synctest.Wait()
		if s := n.Stats(); s.IconsAsked != 1 || s.Peers != 0 {
			t.Fatalf("%+v", s)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked := peers.lan.asked(); asked != 1 {
			t.Errorf("asked %d times for the icon of a peer that has gone", asked)
		}
	})
}

// LL-15: the cache is on disk: after a restart nothing is asked; and it
// expires: a month later it is.
func TestLL15TheCacheOutlivesARestartAndExpires(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "icons")
	data := portrait(t, 1)
	for _, tt := range []struct {
		why   string
		age   time.Duration
		asked int
	}{{"first", 0, 1}, {"restart", 29 * 24 * time.Hour, 0}, {"a month later", 31 * 24 * time.Hour, 1}} {
		synctest.Test(t, func(t *testing.T) {
			if tt.age > 0 { // the bubble's clock begins anew each time
				at := time.Now().Add(-tt.age)
				if err := os.Chtimes(filepath.Join(dir, iconcache.Hash(data)), at, at); err != nil {
					t.Fatal(err)
				}
			}
			lan := new(fakeLAN)
			peers := lan.host("127.0.0.3")
			peers.setNull("romeo@h", data)
			peers.peer(t, "romeo@h", 5298, phsh(data))
			n := start(t, lan.host("127.0.0.2"), "", Config{IconCache: dir})
			synctest.Wait()
			if got := n.icons(); len(got) != 1 || lan.asked() != tt.asked {
				t.Errorf("%s: told of %q, asked %d times, want %d", tt.why, got, lan.asked(), tt.asked)
			}
			n.stop()
		})
	}
}
