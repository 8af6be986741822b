package e2e

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"image"
	"image/png"
	"os"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestLibpurpleAndAvahiAndZeroconfSeeEachOther(t *testing.T) {
	t.Parallel()
	lab := New(t, 4)
	h1, h2, h3, h4 := lab.Host("h1"), lab.Host("h2"), lab.Host("h3"), lab.Host("h4")
	lab.Avahi()
	observer := h4.Observe(PresenceService)
	browser := h3.Browse(PresenceService)
	alice := h1.StartPurple("alice", PurpleOptions{First: "Alice", Last: "Adams", Message: "hello there"})
	bob := h2.StartPurple("bob", PurpleOptions{First: "Bob"})
	alice.AwaitReady()
	bob.AwaitReady()

	if alias := bob.AwaitOn("alice@h1"); alias != "Alice Adams" {
		t.Errorf("alias = %q", alias)
	}
	alice.AwaitOn("bob@h2")
	seen := observer.AwaitEvent("add", "alice@h1")
	if seen.Port != 5298 || seen.Host != "h1.local" || seen.TXT["msg"] != "hello there" || seen.TXT["1st"] != "Alice" {
		t.Errorf("zeroconf sees %+v", seen)
	}
	if s := browser.AwaitResolved("alice@h1"); s.Addrs[0] != h1.Addr().String() || s.TXT["last"] != "Adams" {
		t.Errorf("avahi sees %+v", s)
	}

	alice.Msg("bob@h2", "a <b>bold</b> word &amp; more")
	im := bob.NextIM()
	if im.From != "alice@h1" || im.Text() != "a bold word & more" {
		t.Errorf("bob got %+v", im)
	}
	bob.Msg("alice@h1", "and back")
	alice.AwaitIM("bob@h2", "and back")

	drX := h3.Purple("Dr. Ünï X", PurpleOptions{})
	alice.AwaitOn("Dr. Ünï X@h3")
	drX.AwaitOn("alice@h1") // libpurple hangs up on whom it does not know
	alice.Msg("Dr. Ünï X@h3", "two\nlines")
	drX.AwaitIM("alice@h1", "two\nlines")
	browser.AwaitResolved("Dr. Ünï X@h3")
	drX.Quit()
	alice.AwaitRemoved("Dr. Ünï X@h3")

	alice.SetStatus("away", "at lunch")
	bob.AwaitStatus("alice@h1", "away", "at lunch")
	observer.Await("the new status", func(s Service) bool {
		return s.Event == "update" && s.TXT["msg"] == "at lunch" && s.TXT["status"] == "dnd"
	})

	want := Buddy{Name: "alice@h1", Alias: "Alice Adams", Status: "away", Message: "at lunch"}
	if got := bob.Buddies(); len(got) != 1 || got["alice@h1"] != want {
		t.Errorf("bob's list: %+v, want only %+v", got, want)
	}

	published, name := h3.Publish("carol@h3", PresenceService, 5999, "txtvers=1", "status=avail")
	if name != "carol@h3" {
		t.Errorf("published as %q", name)
	}
	alice.AwaitOn("carol@h3")
	published.Stop()
	alice.AwaitRemoved("carol@h3")

	alice.CloseChat("bob@h2")
	alice.Quit()
	bob.AwaitRemoved("alice@h1")
	observer.AwaitEvent("remove", "alice@h1")
	browser.AwaitRemoved("alice@h1")
}

func TestLibpurpleShowsAvatars(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	lab.Avahi()
	var first, second bytes.Buffer
	for b, side := range map[*bytes.Buffer]int{&first: 8, &second: 16} {
		if err := png.Encode(b, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
			t.Fatal(err)
		}
	}
	alice := h1.StartPurple("alice", PurpleOptions{Icon: h1.WriteFile("first.png", first.String())})
	bob := h2.StartPurple("bob", PurpleOptions{})
	bob.AwaitOn("alice@h1")
	wantIcon := func(want []byte) {
		t.Helper()
		sum := sha1.Sum(want)
		if hash, size := bob.AwaitIcon("alice@h1"); hash != hex.EncodeToString(sum[:]) || size != len(want) {
			t.Errorf("bob sees an avatar of %d bytes with hash %s, want %d bytes, %x", size, hash, len(want), sum)
		}
	}
	wantIcon(first.Bytes())
	alice.SetIcon(h1.WriteFile("second.png", second.String()))
	wantIcon(second.Bytes())
}

func TestLibpurpleSendsFiles(t *testing.T) {
	t.Parallel()
	lab := New(t, 2)
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	lab.Avahi()
	alice, bob := h1.StartPurple("alice", PurpleOptions{}), h2.StartPurple("bob", PurpleOptions{})
	alice.AwaitOn("bob@h2")
	bob.AwaitOn("alice@h1")
	content := strings.Repeat("0123456789abcdef", 20_000)
	alice.SendFile("bob@h2", h1.WriteFile("notes.txt", content))
	got, err := os.ReadFile(bob.AwaitFile("alice@h1"))
	if err != nil || string(got) != content {
		t.Errorf("received %d of %d bytes, %v", len(got), len(content), err)
	}
}

func TestNamesOfAvahiBrowse(t *testing.T) {
	s, ok := parseBrowse(`=;eth0;IPv4;Dr\.\032X\064h1;_presence._tcp;local;h1.local;10.70.0.1;5298;"txtvers=1" "msg=a; b"`)
	if !ok || s.Name != "Dr. X@h1" || s.Port != 5298 || s.TXT["msg"] != "a; b" {
		t.Errorf("parsed %+v, %v", s, ok)
	}
}
