package xmppc2s

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/iconcache"
	"meshgate/internal/stanza"
)

// A deskRig is a desk whose server is the test, in a time of its own.
type deskRig struct {
	t    *testing.T
	d    *avatarDesk
	now  time.Time
	open *stanza.Element // the question that has no answer yet
	told []string        // events: contact and hash
	says []photoHash
}

func newDeskRig(t *testing.T) *deskRig {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := newAvatarDesk(jid.MustParse("gw@example.org/x"), []jid.JID{jid.MustParse("bob@example.org"), jid.MustParse("eve@example.org")},
		iconcache.Open(iconcache.Config{}, now), slog.New(slog.DiscardHandler))
	return &deskRig{t: t, d: d, now: now}
}

func picture(t testing.TB, shade uint8) []byte {
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

func (r *deskRig) parse(format string, args ...any) *stanza.Element {
	r.t.Helper()
	el, err := stanza.Parse(fmt.Appendf(nil, format, args...), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	return el
}

// take carries out what the desk wants.
func (r *deskRig) take() {
	r.t.Helper()
	r.d.advance(r.now)
	out := r.d.takeOutput()
	for _, st := range out.send {
		if r.open != nil {
			r.t.Fatalf("two questions at a time: %v and %v", r.open, st)
		}
		r.open = st
	}
	for _, ev := range out.events {
		a := ev.(ContactAvatar)
		hash := "none"
		if a.Avatar != nil {
			hash = iconcache.Hash(a.Avatar.Data)
		}
		r.told = append(r.told, a.JID.Localpart()+" "+hash)
	}
	if out.photo != nil {
		r.says = append(r.says, *out.photo)
	}
}

// pass lets time pass, until there is a question to answer.
func (r *deskRig) pass(d time.Duration) {
	r.t.Helper()
	end, still := r.now.Add(d), 0
	for r.take(); r.open == nil; r.take() {
		at := r.d.nextTimeout()
		if at.IsZero() || at.After(end) {
			break
		}
		switch still++; {
		case at.After(r.now):
			r.now, still = at, 0
		case still > len(r.d.contacts): // one for each may be due
			r.t.Fatalf("at %v the desk is due at %v", r.now, at)
		}
	}
	if r.open == nil {
		r.now = end
	}
}

// asked takes the question that is open, in which the words must be.
func (r *deskRig) asked(words ...string) *stanza.Element {
	r.t.Helper()
	r.pass(time.Hour)
	if r.open == nil {
		r.t.Fatalf("no question, want %q", words)
	}
	for _, w := range words {
		if !strings.Contains(r.open.String(), w) {
			r.t.Fatalf("asked %v, want %q in it", r.open, w)
		}
	}
	q := r.open
	r.open = nil
	return q
}

// answer answers a question as whoever was asked.
func (r *deskRig) answer(q *stanza.Element, typ, payload string) {
	r.t.Helper()
	from := q.Attr("to")
	if from == "" {
		from = "gw@example.org"
	}
	if !r.d.answer(r.now, r.parse("<iq type='%s' id='%s' from='%s'>%s</iq>", typ, q.Attr("id"), from, payload)) {
		r.t.Fatalf("the answer to %v is not wanted", q)
	}
	r.take()
}

func (r *deskRig) quiet(why string) {
	r.t.Helper()
	if r.pass(24 * time.Hour); r.open != nil {
		r.t.Fatalf("%s: asked %v", why, r.open)
	}
}

func (r *deskRig) wantTold(want ...string) {
	r.t.Helper()
	if fmt.Sprint(r.told) != fmt.Sprint(want) {
		r.t.Fatalf("told %q, want %q", r.told, want)
	}
}

func (r *deskRig) presence(from, x string) {
	r.t.Helper()
	r.d.presence(r.now, r.parse("<presence from='%s'>%s</presence>", from, x))
}

func (r *deskRig) event(from, metadata string) {
	r.t.Helper()
	msg := r.parse("<message from='%s'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'>"+
		"<item id='i'><metadata xmlns='urn:xmpp:avatar:metadata'>%s</metadata></item></items></event></message>", from, metadata)
	if !isNotification(msg) {
		r.t.Fatal("no notification")
	}
	r.d.event(r.now, msg)
}

func photo(hash string) string {
	return "<x xmlns='vcard-temp:x:update'><photo>" + hash + "</photo></x>"
}

func vcard(data []byte) string {
	return "<vCard xmlns='vcard-temp'><FN>B</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>\n " + lines(base64.StdEncoding.EncodeToString(data)) + "\n</BINVAL></PHOTO></vCard>"
}

func item(node, payload string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='" + node + "'><item id='x'>" + payload + "</item></items></pubsub>"
}

func dataItem(data []byte) string {
	return item(stanza.NSAvData, "<data xmlns='urn:xmpp:avatar:data'>"+base64.StdEncoding.EncodeToString(data)+"</data>")
}

func info(data []byte) string {
	return fmt.Sprintf("<info bytes='%d' id='%s' type='image/png'/>", len(data), strings.ToUpper(iconcache.Hash(data)))
}

const refusal = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

// After a restart all pictures may be in the store. Between any two of them
// messages are passed on.
func TestAvatarsFromTheStoreComeOneAtATime(t *testing.T) {
	r := newDeskRig(t)
	pic := picture(t, 1)
	hash := r.d.store.Put(pic, r.now)
	r.presence("bob@example.org/a", photo(hash))
	r.presence("eve@example.org/a", photo(hash))
	r.take()
	r.now = r.now.Add(avatarSettle)
	r.take()
	r.wantTold("bob " + hash)
	if at := r.d.nextTimeout(); at.IsZero() || at.After(r.now) {
		t.Errorf("the other one is due at %v, want now", at)
	}
	r.take()
	r.wantTold("bob "+hash, "eve "+hash)
}

// While a server does not answer, a contact may change its picture for ever.
func TestAvatarQueueHasEachContactOnce(t *testing.T) {
	r := newDeskRig(t)
	r.presence("bob@example.org/a", photo(iconcache.Hash([]byte("bob"))))
	r.asked("bob@example.org")
	for i := range 20 {
		r.presence("eve@example.org/a", photo(iconcache.Hash([]byte{byte(i)})))
		r.take()
		r.now = r.now.Add(avatarSettle)
		r.take()
	}
	if n := len(r.d.queue); n != 1 {
		t.Errorf("%d in the queue, want 1", n)
	}
}

func TestAvatarComesFromTheVCardAndIsKnownAfterwards(t *testing.T) {
	r := newDeskRig(t)
	one, two := picture(t, 1), picture(t, 2)
	h1, h2 := iconcache.Hash(one), iconcache.Hash(two)
	r.presence("stranger@example.org/a", photo(h1))
	r.presence("bob@example.org/a", "")
	r.presence("bob@example.org/a", "<x xmlns='vcard-temp:x:update'/>")
	r.presence("bob@example.org/a", photo("../../etc/passwd"))
	r.quiet("nothing is known")
	r.presence("bob@example.org/a", photo(h1))
	r.answer(r.asked("get", "bob@example.org", "vcard-temp"), "result", vcard(one))
	r.wantTold("bob " + h1)
	r.presence("bob@example.org/b", photo(h1))
	r.quiet("the same")
	r.presence("bob@example.org/a", photo(h2))
	r.answer(r.asked("vcard-temp"), "result", vcard(two))
	r.presence("bob@example.org/a", photo(h1))
	r.quiet("from the store")
	r.presence("bob@example.org/a", photo(""))
	r.presence("eve@example.org/a", photo(h2))
	r.quiet("from the store, of another")
	r.wantTold("bob "+h1, "bob "+h2, "bob "+h1, "bob none", "eve "+h2)
}

func TestAvatarOfPEPCountsMore(t *testing.T) {
	r := newDeskRig(t)
	one, two := picture(t, 1), picture(t, 2)
	h1, h2 := iconcache.Hash(one), iconcache.Hash(two)
	r.presence("bob@example.org/a", photo(h1))
	r.event("bob@example.org", info(two))
	r.answer(r.asked("get", "bob@example.org", stanza.NSAvData, h2), "result", dataItem(two))
	r.wantTold("bob " + h2)
	r.quiet("it has been had")
	r.event("bob@example.org", "")
	r.quiet("none")
	r.wantTold("bob "+h2, "bob none")
	// What cannot be had there: elsewhere, of another kind, too large.
	for _, bad := range []string{
		strings.Replace(info(one), "bytes", "url='http://x/y' bytes", 1), strings.Replace(info(one), "png", "svg+xml", 1),
		fmt.Sprintf("<info bytes='%d' id='%s' type='image/png'/>", maxAvatar+1, h1), "<info bytes='5' id='x' type='image/png'/>", "<pointer/>",
	} {
		r.event("bob@example.org", bad)
		r.event("stranger@example.org", info(one))
		r.quiet(bad)
	}
	r.event("bob@example.org", strings.Replace(info(one), "png", "svg+xml", 1)+info(one))
	r.asked(stanza.NSAvData, h1)
}

func TestAvatarIsTriedByBothWaysAndThenLater(t *testing.T) {
	r := newDeskRig(t)
	one := picture(t, 1)
	h1 := iconcache.Hash(one)
	r.presence("bob@example.org/a", photo(h1))
	r.event("bob@example.org", info(one))
	r.answer(r.asked(stanza.NSAvData), "error", refusal)
	r.answer(r.asked("vcard-temp"), "result", vcard(picture(t, 9))) // another picture
	asked := r.now
	r.asked(stanza.NSAvData) // and no answer to it
	if r.now.Sub(asked) < avatarRetries[0] {
		t.Errorf("asked again after %v", r.now.Sub(asked))
	}
	r.answer(r.asked("vcard-temp"), "result", "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>!!!</BINVAL></PHOTO></vCard>")
	r.answer(r.asked(stanza.NSAvData), "error", refusal)
	r.answer(r.asked("vcard-temp"), "error", refusal)
	r.quiet("given up")
	r.d.fresh(r.now)
	r.answer(r.asked(stanza.NSAvData), "result", dataItem(one))
	r.wantTold("bob " + h1)
}

func TestAvatarsThatAreNoPicturesAreNotShown(t *testing.T) {
	r := newDeskRig(t)
	svg := []byte("<svg/>")
	r.presence("bob@example.org/a", photo(iconcache.Hash(svg)))
	r.answer(r.asked("vcard-temp"), "result", vcard(svg))
	r.quiet("it is what he meant")
	r.wantTold()
}

func TestAnswersOfOthersAreNotBelieved(t *testing.T) {
	r := newDeskRig(t)
	one := picture(t, 1)
	r.presence("bob@example.org/a", photo(iconcache.Hash(one)))
	q := r.asked("vcard-temp")
	for _, from := range []string{"eve@example.org", "example.org", "gw@example.org"} {
		if r.d.answer(r.now, r.parse("<iq type='error' id='%s' from='%s'/>", q.Attr("id"), from)) {
			t.Errorf("an answer of %s is taken", from)
		}
	}
	r.presence("bob@example.org/a", photo(""))
	r.answer(q, "result", vcard(one)) // it is no longer his
	r.wantTold()
}

// own makes the picture that is to be published.
func own(data []byte) ownPicture {
	if data == nil {
		return ownPicture{}
	}
	return ownPicture{data: data, hash: iconcache.Hash(data), mime: "image/png", width: 8, height: 8}
}

const (
	pepServer  = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='pubsub' type='pep'/></query>"
	convServer = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='pubsub' type='pep'/><feature var='urn:xmpp:pep-vcard-conversion:0'/></query>"
	notFound   = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
)

func metadataItem(info string) string {
	return item(stanza.NSAvMeta, "<metadata xmlns='urn:xmpp:avatar:metadata'>"+info+"</metadata>")
}

func TestOwnPictureGoesWhereTheServerKeepsIt(t *testing.T) {
	one := picture(t, 1)
	h1 := iconcache.Hash(one)

	t.Run("converting", func(t *testing.T) {
		r := newDeskRig(t)
		r.d.setOwn(r.now, own(one))
		r.answer(r.asked("get", "disco#info", "to='gw@example.org'"), "result", convServer)
		r.answer(r.asked("get", stanza.NSAvMeta), "error", notFound)
		r.answer(r.asked("set", stanza.NSAvData, h1, base64.StdEncoding.EncodeToString(one)), "result", "")
		r.answer(r.asked("set", stanza.NSAvMeta, h1, "width='8'"), "result", "")
		r.quiet("published")
		if len(r.says) != 0 {
			t.Errorf("our presence says %v", r.says)
		}
		// A restart: the server has it.
		r.d.fresh(r.now)
		r.answer(r.asked("disco#info"), "result", convServer)
		r.answer(r.asked("get", stanza.NSAvMeta), "result", metadataItem(info(one)))
		r.quiet("it is there")
		r.d.setOwn(r.now, own(nil))
		r.answer(r.asked("disco#info"), "result", convServer)
		r.answer(r.asked("get", stanza.NSAvMeta), "result", metadataItem(info(one)))
		r.answer(r.asked("set", stanza.NSAvMeta, "<metadata"), "result", "")
		r.quiet("removed")
	})
	t.Run("PEP and vCard", func(t *testing.T) {
		r := newDeskRig(t)
		r.d.setOwn(r.now, own(one))
		r.answer(r.asked("disco#info"), "result", pepServer)
		r.answer(r.asked("get", stanza.NSAvMeta), "result", metadataItem(info(one)))
		r.answer(r.asked("get", "vcard-temp"), "result",
			"<vCard xmlns='vcard-temp'><FN>The gateway</FN><PHOTO><BINVAL>AAAA</BINVAL></PHOTO><X><Y a='b'/></X></vCard>")
		q := r.asked("set", "<FN>The gateway</FN>", "<X><Y a='b'/></X>", "<TYPE>image/png</TYPE>")
		if got := photoOf(q.Child(stanza.NSVCard, "vCard")); !bytes.Equal(got, one) || strings.Contains(q.String(), "AAAA<") {
			t.Errorf("%v", q)
		}
		r.answer(q, "result", "")
		r.quiet("published")
		if want := []photoHash{{true, h1}}; fmt.Sprint(r.says) != fmt.Sprint(want) {
			t.Errorf("our presence says %v, want %v", r.says, want)
		}
	})
	t.Run("vCard", func(t *testing.T) {
		r := newDeskRig(t)
		r.d.setOwn(r.now, own(one))
		r.answer(r.asked("disco#info"), "error", refusal)
		r.answer(r.asked("get", "vcard-temp"), "error", notFound)
		r.answer(r.asked("set", "vcard-temp"), "result", "")
		r.quiet("published")
	})
	t.Run("neither", func(t *testing.T) {
		r := newDeskRig(t)
		r.d.setOwn(r.now, own(one))
		r.answer(r.asked("disco#info"), "error", refusal)
		r.answer(r.asked("get", "vcard-temp"), "error", refusal)
		r.quiet("nowhere to put it")
		if len(r.says) != 0 {
			t.Errorf("our presence says %v", r.says)
		}
	})
}

// A vCard that did not come is not written: what is in it would be lost.
func TestAVCardThatDidNotComeIsNotOverwritten(t *testing.T) {
	r := newDeskRig(t)
	r.d.setOwn(r.now, own(picture(t, 1)))
	for range 5 {
		r.answer(r.asked("disco#info"), "error", refusal)
		r.asked("get", "vcard-temp")
		r.pass(avatarWait)
		r.answer(r.asked("disco#info"), "error", refusal)
		r.answer(r.asked("get", "vcard-temp"), "error", strings.Replace(refusal, "cancel", "wait", 1))
	}
}

func TestOwnPictureIsWrittenOncePerInterval(t *testing.T) {
	r := newDeskRig(t)
	writes, begin := 0, r.now
	for n := range 600 { // 10 min
		r.d.setOwn(r.now, own(picture(t, uint8(n))))
		end := begin.Add(time.Duration(n+1) * time.Second)
		for r.pass(end.Sub(r.now)); r.open != nil; r.pass(max(0, end.Sub(r.now))) {
			q := r.open
			r.open = nil
			switch {
			case q.Attr("type") == "set":
				writes++
				r.answer(q, "result", "")
			case q.Child(stanza.NSDisco, "query") != nil:
				r.answer(q, "error", refusal)
			default:
				r.answer(q, "error", notFound)
			}
		}
	}
	if writes < 5 || writes > 10 {
		t.Errorf("%d writes in 10 minutes", writes)
	}
}

// A picture at which the server ends the stream is not what keeps us away.
func TestAPictureThatEndsTheSessionIsTriedSeldom(t *testing.T) {
	r := newDeskRig(t)
	r.d.setOwn(r.now, own(picture(t, 1)))
	writes, end := 0, r.now.Add(5*time.Hour)
	for r.pass(time.Hour); r.open != nil && r.now.Before(end); r.pass(2 * time.Hour) {
		q := r.open
		r.open = nil
		switch {
		case q.Attr("type") == "set":
			writes++
			r.now = r.now.Add(3 * time.Second)
			r.d.fresh(r.now)
			r.now = r.now.Add(30 * time.Second)
			r.d.fresh(r.now) // for another reason
		case q.Child(stanza.NSDisco, "query") != nil:
			r.answer(q, "error", refusal)
		default:
			r.answer(q, "error", notFound)
		}
	}
	if writes < 5 || writes > 8 {
		t.Errorf("%d writes in 5 hours", writes)
	}
}

// A contact that changes its picture all the time is asked now and then.
func TestAFlippingContactIsAskedOncePerInterval(t *testing.T) {
	r := newDeskRig(t)
	asked, begin := 0, r.now
	for n := range 120 {
		r.presence("bob@example.org/a", photo(iconcache.Hash([]byte{byte(n)})))
		for r.pass(begin.Add(time.Duration(n+1) * time.Second).Sub(r.now)); r.open != nil; r.take() {
			q := r.open
			r.open = nil
			asked++
			r.answer(q, "error", refusal)
		}
	}
	if most := int(2*time.Minute/contactInterval) + 1; asked == 0 || asked > most {
		t.Errorf("%d questions in two minutes, want at most %d", asked, most)
	}
}
