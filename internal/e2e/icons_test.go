package e2e

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// portrait is a picture of n shades of grey: PNG.
func portrait(t *testing.T, n int) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * n)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// photo is a picture that does not fit into a packet: JPEG.
func photo(t *testing.T) string { t.Helper(); return noise(t, 340) }

// noise is a square picture that does not compress.
func noise(t *testing.T, side int) string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, color.Gray{uint8(rnd.Uint32())})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func hashOf(s string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(s))) }

// iconPeer starts one contact on the link, with nothing behind it.
func iconPeer(t *testing.T, h *Host, cache string) *Proc {
	t.Helper()
	path, err := buildProgram("meshgate/internal/e2e/testdata/iconpeer")
	if err != nil {
		t.Fatal(err)
	}
	p := h.Start(path, "eth0", cache)
	p.Expect(`^NAME\tjuliet@gw$`)
	return p
}

// iconCounts ends an icon peer and returns how many pictures it asked for, and
// how many it knew.
func iconCounts(t *testing.T, p *Proc) (asked, known int) {
	t.Helper()
	p.CloseInput()
	m := p.Expect(`^ASKED\t(\d+)\tKNOWN\t(\d+)$`)
	asked, _ = strconv.Atoi(m[1]) // digits
	known, _ = strconv.Atoi(m[2])
	p.Wait()
	return asked, known
}

// LL-15, with libpurple behind avahi: each sees the icons of the other and
// their changes, ours fit into a packet, and what is in the cache is not asked
// for.
func TestLL15LibpurpleAndWeSeeEachOthersIcons(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	lab.Avahi()
	cache := h1.Path("icons")
	first, second := portrait(t, 1), portrait(t, 3)
	us := iconPeer(t, h1, cache)
	bob := h2.Purple("bob", PurpleOptions{Icon: h2.WriteFile("first.png", first)})
	weSee := func(p *Proc, hash string, size int) {
		t.Helper()
		p.Expect(fmt.Sprintf(`^ICON\t%s\t%s\t%d$`, regexp.QuoteMeta(bob.Instance), hash, size))
	}
	weSee(us, hashOf(first), len(first))

	bob.AwaitOn("juliet@gw")
	us.Send("icon %s", h1.WriteFile("photo.jpg", photo(t)))
	hash, size := bob.AwaitIcon("juliet@gw")
	if size == 0 || size > 8500 {
		t.Errorf("the photo comes as %d bytes", size)
	}
	us.Send("icon %s", h1.WriteFile("small.png", second))
	if again, size := bob.AwaitIcon("juliet@gw"); again != hashOf(second) || again == hash || size != len(second) {
		t.Errorf("the small one comes as %s, %d bytes", again, size)
	}
	us.Send("icon -")
	if _, size := bob.AwaitIcon("juliet@gw"); size != 0 {
		t.Errorf("%d bytes are left of it", size)
	}

	bob.SetIcon(h2.WriteFile("second.png", second))
	weSee(us, hashOf(second), len(second))
	// The largest that libpurple sends: many fragments. It is kept smaller.
	large := ""
	for side := 300; len(large) == 0 || len(large) > 60000; side -= 10 {
		large = noise(t, side)
	}
	bob.SetIcon(h2.WriteFile("large.jpg", large))
	if kept, _ := strconv.Atoi(us.Expect(`^ICON\tbob@h2\t[0-9a-f]{40}\t(\d+)$`)[1]); kept < 10000 || kept > 32768 {
		t.Errorf("of %d bytes %d are kept", len(large), kept)
	}
	bob.SetIcon(h2.WriteFile("second.png", second))
	if asked, known := iconCounts(t, us); asked < 3 || known != 0 {
		t.Errorf("asked for %d pictures, knew %d", asked, known)
	}
	if files, err := os.ReadDir(cache); err != nil || len(files) != 3 {
		t.Errorf("in the cache: %v, %v", files, err)
	}

	us = iconPeer(t, h1, cache)
	weSee(us, hashOf(second), len(second))
	bob.SetIcon("-")
	weSee(us, "-", 0)
	if asked, known := iconCounts(t, us); asked != 0 || known != 1 {
		t.Errorf("after a restart: asked for %d pictures, knew %d", asked, known)
	}
}

// LL-15, from one end to the other: a contact's avatar is its mirror's icon in
// libpurple, and the icon of a person on the LAN is the gateway's avatar.
func TestLL15IconsAndAvatarsCrossTheGateway(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{})
	h1, h2 := o.Host("h1"), o.Host("h2")
	first, second := portrait(t, 1), portrait(t, 3)
	bob := h2.Purple("bob", PurpleOptions{Icon: h2.WriteFile("first.png", first)})
	alice := h1.Remote(o.Server, "alice", RemoteOptions{Avatars: true})

	alice.SetAvatar(h1.WriteFile("second.png", second))
	mirror := o.Mirror("alice")
	bob.AwaitOn(mirror)
	if hash, size := bob.AwaitIcon(mirror); hash != hashOf(second) || size != len(second) {
		t.Errorf("bob sees %s, %d bytes, want %s", hash, size, hashOf(second))
	}
	alice.SetAvatar(h1.WriteFile("photo.jpg", photo(t)))
	if hash, size := bob.AwaitIcon(mirror); hash == hashOf(second) || size == 0 || size > 8500 {
		t.Errorf("bob sees %s, %d bytes of the photo", hash, size)
	}
	alice.SetAvatar("")
	if _, size := bob.AwaitIcon(mirror); size != 0 {
		t.Errorf("bob still sees %d bytes", size)
	}

	// The account changes its picture half a minute after the people have.
	if hash, size := alice.AwaitAvatar(2*Patience, o.GatewayJID()); hash != hashOf(first) || size != len(first) {
		t.Errorf("alice sees %s, %d bytes, want %s", hash, size, hashOf(first))
	}
}
