package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// SM-09, SM-11: the server is stopped and started again. What was written
// meanwhile arrives, on a session that cannot be resumed.
func TestAServerRestartLosesNothing(t *testing.T) {
	t.Parallel()
	for name, ejabberd := range map[string]bool{"Prosody": false, "ejabberd": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd})
			alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Reconnect: true})
			bob := o.Host("h2").Purple("bob", PurpleOptions{})
			bob.AwaitOn(o.Mirror("alice"))
			bob.Msg(o.Mirror("alice"), "before")
			alice.AwaitMessage(o.GatewayJID(), "before")

			o.Server.Stop()
			o.Gateway.AwaitLog("offline")
			const count = 3
			for i := range count {
				bob.Msg(o.Mirror("alice"), fmt.Sprintf("meanwhile %d.", i))
			}
			o.Server.Start()
			alice.AwaitSession()
			for i := range count {
				alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("meanwhile %d.", i))
			}
			alice.Msg(o.GatewayJID(), "welcome back")
			bob.AwaitIM(o.Mirror("alice"), "welcome back")
			for i := range count {
				if n := countBodies(alice, fmt.Sprintf("meanwhile %d.", i)); n != 1 {
					t.Errorf("message %d came %d times", i, n)
				}
			}
		})
	}
}

func countBodies(r *Remote, contains string) (n int) {
	for _, m := range r.Messages() {
		if strings.Contains(m.Body, contains) {
			n++
		}
	}
	return n
}

// A gateway that was killed is back under its names at once: nobody else has
// taken them, and what caches still hold of it is no conflict (LL-05, LL-08).
func TestAKilledGatewayComesBackUnderItsNames(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	bob.Msg(o.Mirror("alice"), "before")
	alice.AwaitMessage(o.GatewayJID(), "before")
	alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2")

	bob.Refute(`^REMOVED`)
	o.Gateway.Kill()
	o.Gateway.Start()
	record := o.Gateway.AwaitLog("contact published", "contact", o.Server.JID("alice"))
	if record["instance"] != o.Mirror("alice") {
		t.Errorf("alice is %v now", record["instance"])
	}
	alice.Msg(o.GatewayJID(), "@bob after")
	bob.AwaitIM(o.Mirror("alice"), "after")
	bob.Msg(o.Mirror("alice"), "good to have you back")
	alice.AwaitMessage(o.GatewayJID(), "good to have you back") // at the new port: that of the newest SRV record
	bob.Refute(`^ON\t(alice|meshgate)-?1@gw`)
	if ghosts := len(bob.Buddies()); ghosts != 2 {
		t.Errorf("bob sees %d mirrors, want alice and the concierge", ghosts)
	}
}
