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
	var users []string
	for i := range count {
		users = append(users, "user"+itoa(i))
	}
	opt := OfficeOptions{Config: map[string]any{"contacts": shown(users...)}}
	o := NewOffice(t, opt)
	o.Avahi()
	browser := o.Host("h2").Browse(PresenceService)
	begin := time.Now()
	o.StartGateway(opt)
	for _, user := range users {
		browser.AwaitResolved(o.Mirror(user))
	}
	t.Logf("avahi has all %v after the gateway's start", time.Since(begin))

	begin = time.Now()
	bob := o.Host("h2").StartPurple("bob", PurpleOptions{})
	for _, user := range users {
		bob.AwaitOn(o.Mirror(user))
	}
	t.Logf("libpurple has all %v after its start", time.Since(begin))
	bob.Refute(`^ON\tuser\d+-?1@gw`)
	if n := len(bob.Buddies()); n != count+1 {
		t.Errorf("bob sees %d mirrors, want %d and the concierge", n, count)
	}
}

// shown are contacts of a configuration who are shown though they are offline.
func shown(users ...string) (contacts []any) {
	for _, user := range users {
		contacts = append(contacts, map[string]any{"jid": user + "@" + Domain, "name": user, "offline": "show"})
	}
	return contacts
}
