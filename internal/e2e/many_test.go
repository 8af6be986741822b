package e2e

import (
	"testing"
	"time"
)

// LL-03: an office of 300 contacts is seen, by avahi as it comes, and by a
// libpurple that starts afterwards. How soon is for the benchmark to say.
func TestLibpurpleSees300Mirrors(t *testing.T) {
	t.Parallel()
	const count = 300
	opt := OfficeOptions{Config: map[string]any{"contacts": contactsOnShow(count)}}
	o := NewOffice(t, opt)
	o.Avahi()
	browser := o.Host("h2").Browse(PresenceService)
	begin := time.Now()
	o.StartGateway(opt)
	for i := range count {
		browser.AwaitResolved(o.Mirror("user" + itoa(i)))
	}
	t.Logf("avahi has all %v after the gateway's start", time.Since(begin))

	begin = time.Now()
	bob := o.Host("h2").StartPurple("bob", PurpleOptions{})
	for i := range count {
		bob.AwaitOn(o.Mirror("user" + itoa(i)))
	}
	t.Logf("libpurple has all %v after its start", time.Since(begin))
	bob.Refute(`^ON\tuser\d+-?1@gw`)
	if n := len(bob.Buddies()); n != count+1 {
		t.Errorf("bob sees %d mirrors, want %d and the concierge", n, count)
	}
}

// contactsOnShow are entries of a configuration: people who are shown though
// they are offline.
func contactsOnShow(n int) (contacts []any) {
	for i := range n {
		name := "user" + itoa(i)
		contacts = append(contacts, map[string]any{"jid": name + "@" + Domain, "name": name, "offline": "show"})
	}
	return contacts
}
