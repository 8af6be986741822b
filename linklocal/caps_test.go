package linklocal

import (
	"slices"
	"testing"

	"meshgate/internal/stanza"
)

func TestCapsVer(t *testing.T) {
	// XEP-0115 §5.2 (Simple Generation Example)
	got := capsVer("client/pc//Exodus 0.9.1", []string{
		"http://jabber.org/protocol/muc", stanza.NSDisco, stanza.NSItems, stanza.NSCaps,
	})
	if got != "QgayPKawpkPSDYmwT/WM94uAlu0=" {
		t.Errorf("ver %q", got)
	}
}

// LL-19: the capabilities that the TXT record shows are those that disco#info
// on the stream confirms.
func TestLL19CapabilitiesArePublishedAndConfirmed(t *testing.T) {
	n, p := rawTalk(t, Config{Node: "urn:example:gw", Features: []string{stanza.NSStates, stanza.NSPing}})
	caps := ParseTXT(n.dns.service(t, string(n.name)).Text)
	if caps.Hash != "sha-1" || caps.Node != "urn:example:gw" || caps.Ver == "" {
		t.Fatalf("published %+v", caps)
	}
	p.say("<iq type='get' id='1'><query xmlns='%s' node='%s#%s'/></iq>", stanza.NSDisco, caps.Node, caps.Ver)
	p.until("<iq type='result' id='1' to='romeo@h3' from='juliet@gw'>")
	q, err := stanza.Parse([]byte(p.until("</query>")), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var vars []string
	for c := range q.Children() {
		if c.Is(stanza.NSDisco, "feature") {
			vars = append(vars, c.Attr("var"))
		}
	}
	if want := []string{stanza.NSCaps, stanza.NSStates, stanza.NSDisco, stanza.NSPing}; !slices.Equal(vars, want) {
		t.Errorf("features %q, want %q", vars, want)
	}
	id := q.Child(stanza.NSDisco, "identity")
	if got := capsVer(id.Attr("category")+"/"+id.Attr("type")+"//", vars); got != caps.Ver {
		t.Errorf("confirmed %q, published %q", got, caps.Ver)
	}
	p.say("<iq type='get' id='2'><query xmlns='%s' node='%s#old'/></iq>", stanza.NSDisco, caps.Node)
	p.until("<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>")
}
