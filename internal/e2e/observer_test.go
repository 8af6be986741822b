package e2e

import (
	"strings"
	"testing"
)

// LL-01, LL-02, LL-03, LL-04, LL-10, LL-11: python-zeroconf sees a mirror come, change and
// go, and libpurple talks to it, on a LAN with either kind of address alone.
func TestZeroconfSeesAMirrorComeChangeAndGo(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]OfficeOptions{
		"IPv4 alone": {Gateway: GatewayOptions{Verbose: true}},
		"IPv6 alone": {Gateway: GatewayOptions{Verbose: true}, IPv6Only: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := OpenOffice(t, opt)
			observer := o.Host("h2").Observe(PresenceService)
			alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Addr: o.Server.LoopbackAddr()})
			seen := observer.AwaitEvent("add", o.Mirror("alice"))
			if len(seen.Addrs) != 1 || strings.HasPrefix(seen.Addrs[0], "fe80:") != opt.IPv6Only {
				t.Errorf("at addresses %v", seen.Addrs)
			}
			if seen.Port == 0 || seen.TXT["txtvers"] != "1" || seen.TXT["status"] != "avail" {
				t.Errorf("zeroconf sees %+v", seen)
			}

			bob := o.Host("h2").Purple("bob", PurpleOptions{})
			bob.AwaitOn(o.Mirror("alice"))
			bob.Msg(o.Mirror("alice"), "hello")
			alice.AwaitMessage(o.GatewayJID(), "hello")
			bob.CloseChat(o.Mirror("alice"))
			alice.Msg(o.GatewayJID(), "hello yourself")
			bob.AwaitIM(o.Mirror("alice"), "hello yourself")

			alice.Status("dnd", "busy")
			observer.Await("the new status", func(s Service) bool {
				return s.Event == "update" && s.Name == o.Mirror("alice") && s.TXT["status"] == "dnd" && s.TXT["msg"] == "busy"
			})
			observer.Refute(`"event": "remove"`)
			alice.Quit()
			observer.AwaitEvent("remove", o.Mirror("alice"))
		})
	}
}
