package linklocal

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is a presence with every key that there is, and as what each is
// published.
var (
	everything = Presence{
		Status: Away, Msg: "m", Nick: "n", First: "f", Last: "l", Email: "e", JID: "j", PHSH: "p", VC: "!",
		Node: "N", Ver: "V", Hash: "sha-1", Ext: "x", Port: 7, Extra: []string{"email=smuggled"},
	}
	allKeys = map[string][]string{
		"TXTVers": {"txtvers=1"}, "First": {"1st=f"}, "Last": {"last=l"}, "Nick": {"nick=n"}, "Email": {"email=e"},
		"JID": {"jid=j"}, "Status": {"status=away"}, "Msg": {"msg=m"}, "Icon": {"phsh=p"}, "VC": {"vc=!"},
		"Caps": {"node=N", "ver=V", "hash=sha-1", "ext=x"}, "Port": {"port.p2pj=7"},
	}
)

// LL-04: each key can be switched on alone and off alone, and an instance
// without any is legal: its record is one empty string.
func TestLL04EachKeyCanBeSwitchedOff(t *testing.T) {
	var none, all PublishKeys
	fields := reflect.TypeFor[PublishKeys]()
	if fields.NumField() != len(allKeys) {
		t.Errorf("%d switches, %d are tested", fields.NumField(), len(allKeys))
	}
	var texts []string
	for name, keys := range allKeys {
		only := PublishKeys{}
		reflect.ValueOf(&only).Elem().FieldByName(name).SetBool(true)
		reflect.ValueOf(&all).Elem().FieldByName(name).SetBool(true)
		if diff := cmp.Diff(keys, only.text(everything)); diff != "" {
			t.Errorf("only %s: %s", name, diff)
		}
		texts = append(texts, keys...)
	}
	if diff := cmp.Diff([]string{""}, none.text(everything)); diff != "" {
		t.Errorf("nothing: %s", diff)
	}
	got := slices.Sorted(slices.Values(all.text(everything)))
	if slices.Sort(texts); !slices.Equal(got, texts) {
		t.Errorf("everything: %q, want %q", got, texts)
	}
	for name, keys := range allKeys {
		but := all
		reflect.ValueOf(&but).Elem().FieldByName(name).SetBool(false)
		left := slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return slices.Contains(keys, s) })
		if got := slices.Sorted(slices.Values(but.text(everything))); !slices.Equal(got, left) {
			t.Errorf("all but %s: %q, want %q", name, got, left)
		}
	}
}

// LL-17: by default nothing personal, and a contact's own word counts more
// than the configuration's.
func TestLL17PersonalKeysArePublishedOnlyIfAllowed(t *testing.T) {
	public := []string{"txtvers=1", "status=away", "msg=m", "vc=!", "node=N", "ver=V", "hash=sha-1", "ext=x"} // phsh only with an icon
	for _, tt := range []struct {
		name string
		cfg  Config
		own  *PublishKeys
		want []string // but the port
	}{
		{"default", Config{}, nil, public},
		{"as configured", Config{Publish: &PublishKeys{Nick: true, Port: true}}, nil, []string{"nick=n"}},
		{"as the contact wants it", Config{Publish: &PublishKeys{Nick: true}}, &PublishKeys{First: true, Port: true}, []string{"1st=f"}},
	} {
		n := start(t, new(fakeLAN).host("127.0.0.2"), "", tt.cfg)
		if err := n.Publish(Contact{ID: "c", User: "x", Presence: everything, Publish: tt.own}); err != nil {
			t.Fatal(err)
		}
		wait1(t, n.recorder, "publication", func(ContactPublished) bool { return true })
		e := n.dns.service(t, "x@gw")
		port := fmt.Sprint("port.p2pj=", e.Port)
		if got := slices.DeleteFunc(slices.Clone(e.Text), func(s string) bool { return s == port }); !slices.Equal(got, tt.want) || len(got) == len(e.Text) {
			t.Errorf("%s: %q, want %q", tt.name, e.Text, tt.want)
		}
		n.stop()
	}
}

// LL-04: without any key a contact is on the mesh all the same, and what is
// allowed later is published under the same name.
func TestLL04AnInstanceWithoutKeysIsPublished(t *testing.T) {
	a, b := twoNodes(t, Config{Publish: &PublishKeys{}})
	if e := a.dns.service(t, string(a.name)); !slices.Equal(e.Text, []string{""}) || e.Port == 0 {
		t.Errorf("published %+v", e)
	}
	if err := a.Publish(Contact{ID: "c", User: "juliet", Presence: everything, Publish: &PublishKeys{Msg: true}}); err != nil {
		t.Fatal(err)
	}
	got := wait1(t, b.recorder, "change", func(p PeerChanged) bool { return p.Peer.Instance == a.name })
	if diff := cmp.Diff(Presence{Msg: "m"}, got.Peer.Presence); diff != "" {
		t.Error(diff)
	}
}
