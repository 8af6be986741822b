package e2e

import (
	"regexp"
	"testing"
)

// wantLine checks that some line of the text fits.
func wantLine(t *testing.T, text, re string) {
	t.Helper()
	if !regexp.MustCompile(`(?m)` + re).MatchString(text) {
		t.Errorf("no line fits %s:\n%s", re, text)
	}
}

func TestWhoIsOnTheLANByTheGatewayAndWithout(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{})
	h1, h2 := o.Host("h1"), o.Host("h2")
	program := BuildGateway(t, false)
	o.Gateway.AwaitLog("contact published", "instance", "meshgate@gw")
	follower := h1.Start(program, "peers", "-f", "-config", o.Gateway.ConfigFile)
	follower.Expect(` \+ meshgate@gw  this gateway  `)
	bob, _ := h2.Publish("bob@h2", PresenceService, 5298, "txtvers=1", "status=dnd", "msg=at lunch", "node=libpurple", "ver=2.14.12")
	follower.Expect(` \+ bob@h2  libpurple 2\.14\.12  busy: at lunch  ` + h2.Addr().String())

	row := `^bob@h2 +libpurple 2\.14\.12 +busy: at lunch +` + regexp.QuoteMeta(h2.Addr().String()) + ` +eth0 +\d+s$`
	peers := h1.Output(program, "peers", "-config", o.Gateway.ConfigFile)
	wantLine(t, peers, row)
	wantLine(t, peers, `^meshgate@gw +this gateway .* eth0 +\d+s$`)
	for _, h := range []*Host{h1, h2} { // beside the gateway, and beside avahi
		seen := h.Output(program, "browse", "-wait", "2s")
		wantLine(t, seen, row)
		wantLine(t, seen, `^meshgate@gw +\S+ .* eth0 +\d+s$`)
	}
	watcher := h2.Start(program, "browse", "-f")
	watcher.Expect(` \+ bob@h2 `)
	bob.Stop()
	follower.Expect(` - bob@h2$`)
	watcher.Expect(` - bob@h2$`)
	if code := watcher.Stop(); code != 0 {
		t.Errorf("browse: exit status %d", code)
	}

	// What a killed gateway leaves behind is no hindrance to the next one.
	o.Gateway.Kill()
	follower.Expect(`^meshgate peers: the gateway has ended`)
	if code := follower.Wait(); code != 1 {
		t.Errorf("peers -f: exit status %d", code)
	}
	p := h1.Start(program, "peers")
	p.Expect(`no gateway runs here`)
	if code := p.Wait(); code != 1 {
		t.Errorf("peers without a gateway: exit status %d", code)
	}
	o.Gateway.Start()
	wantLine(t, h1.Output(program, "peers"), `^meshgate@gw `)
}
