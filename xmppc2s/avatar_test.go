package xmppc2s_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"meshgate/internal/iconcache"
	"meshgate/xmppc2s"
)

// notification is what PEP sends when a contact has another picture.
func notification(body string, a *xmppc2s.Avatar) string {
	return fmt.Sprintf("<message from='bob@example.org' type='headline'>%s<event xmlns='http://jabber.org/protocol/pubsub#event'>"+
		"<items node='urn:xmpp:avatar:metadata'><item id='1'><metadata xmlns='urn:xmpp:avatar:metadata'>"+
		"<info bytes='%d' id='%s' type='image/png'/></metadata></item></items></event></message>", body, len(a.Data), iconcache.Hash(a.Data))
}

// idOf is the id of an iq that the client sent.
func idOf(t *testing.T, iq string) string {
	t.Helper()
	_, rest, _ := strings.Cut(iq, "id='avatar-")
	n, _, ok := strings.Cut(rest, "'")
	if !ok {
		t.Fatalf("no question about a picture: %s", iq)
	}
	return "avatar-" + n
}

func TestAvatarsAreFetchedAndTheirNotificationsStayWithin(t *testing.T) {
	s := newFake(t)
	cfg := s.config()
	cfg.Contacts = append(cfg.Contacts, parse("bob@example.org"))
	client, h, _ := start(t, cfg)
	c := s.accept()
	c.fresh()
	first, second := portrait(t, 1), portrait(t, 2)

	c.send("<presence from='bob@example.org/desk'><x xmlns='vcard-temp:x:update'><photo>%s</photo></x></presence>", iconcache.Hash(first.Data))
	iq := c.stanza("<iq", "get", "bob@example.org", "vcard-temp")
	c.send("<iq type='result' id='%s' from='bob@example.org'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>%s</BINVAL></PHOTO></vCard></iq>",
		idOf(t, iq), base64.StdEncoding.EncodeToString(first.Data))
	if got := h.awaitAvatar("the vCard's", first); got.JID.String() != "bob@example.org" || got.Avatar.Type != "image/png" {
		t.Errorf("%+v", got)
	}

	c.send("%s", notification("", second))
	iq = c.stanza("<iq", "get", "bob@example.org", "urn:xmpp:avatar:data", iconcache.Hash(second.Data))
	c.cut() // the answer comes after a resumption
	c = s.accept()
	c.resumed(4) // roster, presence, two questions
	c.send("<iq type='result' id='%s' from='bob@example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'>"+
		"<item id='1'><data xmlns='urn:xmpp:avatar:data'>%s</data></item></items></pubsub></iq>", idOf(t, iq), base64.StdEncoding.EncodeToString(second.Data))
	h.awaitAvatar("PEP's", second)

	c.send("%s", notification("<body>look</body>", first)) // words are words
	h.await("words", func(ev xmppc2s.Event) bool { _, ok := ev.(xmppc2s.Message); return ok })
	if got := h.messages(); len(got) != 1 {
		t.Errorf("%d messages, want one", len(got))
	}
	c.handled(5) // all of it: two of the first connection, three of this one
	if st := client.Stats(); st.AvatarsAsked != 2 || st.Undone != 0 {
		t.Errorf("counted %+v", st)
	}
}

func TestOwnAvatarIsInThePresenceWhereTheServerDoesNotPutItThere(t *testing.T) {
	s := newFake(t)
	client, _, _ := start(t, s.config())
	c := s.accept()
	c.fresh()
	own := portrait(t, 1)
	client.SetAvatar(own)
	iq := c.stanza("<iq", "get", "disco#info")
	c.send("<iq type='error' id='%s' from='alice@example.org'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", idOf(t, iq))
	iq = c.stanza("<iq", "get", "vcard-temp")
	c.send("<iq type='result' id='%s' to='alice@example.org/desk'><vCard xmlns='vcard-temp'><FN>G</FN></vCard></iq>", idOf(t, iq))
	iq = c.stanza("<iq", "set", "<FN>G</FN>", "image/png")
	c.send("<iq type='result' id='%s'/>", idOf(t, iq))
	c.stanza("<presence", "vcard-temp:x:update", "<photo>"+iconcache.Hash(own.Data)+"</photo>")
	client.SetPresence("away", "")
	c.stanza("<presence", "away", "<photo>"+iconcache.Hash(own.Data)+"</photo>")
}
