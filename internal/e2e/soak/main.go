// Command soak shows that a mirror stays on the LAN, and reachable, for longer
// than its records live: 120 s those of its host, which peers ask for again at
// 80 to 95 % of that (RFC 6762 §5.2, §10). Whoever does not answer them is
// dropped by libpurple after about four minutes, for good.
//
// It fails as soon as somebody has lost somebody.
package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"time"

	"meshgate/internal/e2e"
)

// check is how often the clients' lists are looked at.
const check = 5 * time.Second

func main() {
	length := flag.Duration("for", 10*time.Minute+30*time.Second, "how long to watch")
	flag.Parse()
	os.Exit(e2e.Main("soak", os.Stderr, func(tb e2e.TB) { soak(tb, *length) }))
}

// soak has Bob on the LAN and Alice on the network see each other, leaves them alone for
// so long, and then has them talk.
func soak(tb e2e.TB, length time.Duration) {
	o := e2e.OpenOffice(tb, e2e.OfficeOptions{
		Hosts: 3,
		// The discovery client asks every minute who is there. Its answers
		// would refresh everybody, and hide an unanswered question.
		Config: map[string]any{"lan.discover": false},
	})
	alice := o.Host("h1").Remote(o.Server, "alice", e2e.RemoteOptions{})
	observer := o.Host("h3").Observe(e2e.PresenceService)
	bob := o.Host("h2").Purple("bob", e2e.PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	observer.AwaitEvent("add", o.Mirror("alice"))
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")
	talk(o, alice, bob, "at the beginning")

	seen := len(alice.Events())
	tb.Logf("soak: watching for %v", length)
	tick := time.NewTicker(check)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < length; <-tick.C {
		bob.Refute(`^REMOVED\t|^ON\talice1`)
		observer.Refute(`"event": "remove"`)
		if slices.ContainsFunc(alice.Events()[seen:], losesBob) {
			tb.Fatalf("soak: alice has lost bob after %v", time.Since(start))
		}
	}
	alice.Status("dnd", "after all that time")
	bob.AwaitStatus(o.Mirror("alice"), "away", "after all that time")
	talk(o, alice, bob, "at the end")
	tb.Logf("soak: all saw all for %v, and talk", length)
}

func losesBob(e e2e.Event) bool {
	return e.Ev == "presence" && strings.HasPrefix(e.From, e2e.GatewayUser) && !strings.Contains(e.Status, "bob@h2")
}

func talk(o *e2e.Office, alice *e2e.Remote, bob *e2e.Purple, when string) {
	bob.Msg(o.Mirror("alice"), "up "+when)
	alice.AwaitMessage(o.GatewayJID(), "up "+when)
	alice.Msg(o.GatewayJID(), "down "+when)
	bob.AwaitIM(o.Mirror("alice"), "down "+when)
}
