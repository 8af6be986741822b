package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/xmppc2s"
)

// CQ-13: who has invited a contact through a room hears, once, that it does not want to come; nobody
// hears anything of a contact whom nobody has invited.
func TestWhoHasInvitedIsToldOfADecline(t *testing.T) {
	r := ready(t)
	muc := jid.MustParse("coven@conference.example.org")
	r.addRoom([]string{"Coven", muc.String(), "239.255.71.66:13251", "members"})
	decline := func(from, reason string) []string {
		r.taken()
		r.srv(xmppc2s.RoomDeclined{Room: muc, From: jid.MustParse(from), Reason: reason})
		return r.taken()
	}
	if got := decline("alice@example.org", "why?"); got != nil {
		t.Errorf("before anybody has invited: %q", got)
	}
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Coven", "plot", "239.255.71.66", ""))
	if got := decline("stranger@example.org", ""); got != nil {
		t.Errorf("a stranger: %q", got)
	}
	want := []string{`to bob@h2 from alice@example.org: "[meshgate] Alice declines the invitation to “Coven”: “no time”"`}
	if d := cmp.Diff(want, decline("alice@example.org", "no\ntime")); d != "" {
		t.Error(d)
	}
	if got := decline("alice@example.org", ""); got != nil {
		t.Errorf("a second time: %q", got)
	}
	r.fromLAN(alice, "bob@h2", fmt.Sprintf(cliqueInvite, "Coven", "plot", "239.255.71.66", ""))
	r.wait(invitesKept + time.Minute)
	if got := decline("alice@example.org", ""); got != nil {
		t.Errorf("long after: %q", got)
	}
}
