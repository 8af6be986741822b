package xmppc2s_test

import (
	"bytes"
	"image"
	"image/png"
	"testing"

	"meshgate/internal/e2e"
	"meshgate/xmppc2s"
)

// portrait is a small picture, another for each shade.
func portrait(tb testing.TB, shade uint8) *xmppc2s.Avatar {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = shade
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return &xmppc2s.Avatar{Data: b.Bytes(), Type: "image/png"}
}

func (h *tail) awaitAvatar(why string, want *xmppc2s.Avatar) xmppc2s.ContactAvatar {
	h.tb.Helper()
	return h.await(why, func(ev xmppc2s.Event) bool {
		a, ok := ev.(xmppc2s.ContactAvatar)
		return ok && (a.Avatar == nil) == (want == nil) && (want == nil || bytes.Equal(a.Avatar.Data, want.Data))
	}).(xmppc2s.ContactAvatar)
}

// One account's picture reaches the other by whatever the server has: Prosody
// converts (XEP-0398), the lab's ejabberd has PEP and vCards side by side.
// After a restart nothing is published again, and nothing fetched again.
func TestRealServersCarryPictures(t *testing.T) {
	servers(t, func(t *testing.T, s *e2e.Server) {
		a, b := account(t, s, "alice", "a"), account(t, s, "bob", "b")
		a.Contacts, b.Contacts = append(a.Contacts, parse(s.JID("bob"))), append(b.Contacts, parse(s.JID("alice")))
		a.AvatarCache = t.TempDir()
		alice, ha, stopAlice := start(t, a)
		bob, hb, stopBob := start(t, b)
		ha.await("alice online", isOnline)
		hb.await("bob online", isOnline)
		first := portrait(t, 1)
		bob.SetAvatar(first)
		got := ha.awaitAvatar("the picture", first)
		if got.JID.String() != s.JID("bob") || got.Avatar.Type != "image/png" {
			t.Errorf("%+v", got)
		}
		if asked, written := alice.Stats().AvatarsAsked, bob.Stats().AvatarsWritten; asked == 0 || written < 2 {
			t.Errorf("%d questions, %d writes", asked, written)
		}
		for _, ev := range append(ha.seen(), hb.seen()...) {
			if m, ok := ev.(xmppc2s.Message); ok {
				t.Errorf("a message: %v", m.Stanza)
			}
		}
		stopAlice()
		stopBob()

		alice, ha, _ = start(t, a)
		bob, _, _ = start(t, b)
		bob.SetAvatar(first)
		ha.awaitAvatar("the picture, from the cache", first)
		if asked := alice.Stats().AvatarsAsked; asked != 0 {
			t.Errorf("%d questions for what is in the cache", asked)
		}
		if written := bob.Stats().AvatarsWritten; written != 0 {
			t.Errorf("%d writes of what is there", written)
		}
		bob.SetAvatar(nil)
		ha.awaitAvatar("no picture", nil)
	})
}
