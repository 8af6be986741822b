package bounds

import (
	"testing"

	"mellium.im/xmpp/jid"

	"meshgate/linklocal"
)

// IJ-05, IJ-09: nobody is let in who is not named, and nobody by the address of
// somebody else.
func TestNamesAreNobodysOrSomebodys(t *testing.T) {
	n := NewNames([]string{"*@h2", "Bob@H3"}, []jid.JID{jid.MustParse("alice@h2/phone")})
	for name, want := range map[string]bool{"bob@h2": true, "bob@h3": true, "carl@h3": false, "alice@h2": false, "ALICE@h2": false, "": false} {
		if got := n.Admit(linklocal.Instance(name)); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	if NewNames(nil, nil).Admit("bob@h2") {
		t.Error("by default somebody is let in")
	}
}
