package linklocal

import (
	"net/netip"
	"testing"

	"meshgate/linklocal/mdns"
)

func TestWatchKnowsWhoIsThere(t *testing.T) {
	w := NewWatch(2)
	entry := func(name, status string) mdns.Entry {
		return mdns.Entry{Instance: name, Type: serviceType, Host: "h.local", Port: 1, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")},
			Text: []string{"status=" + status, "node=libpurple"}, Links: []string{"eth0"}}
	}
	w.HandleMDNS(mdns.Appeared{Entry: entry("romeo@h", "avail")})
	w.HandleMDNS(mdns.Appeared{Entry: entry("juliet@h", "avail")})
	w.HandleMDNS(mdns.Appeared{Entry: entry("one@too.many", "avail")})
	w.HandleMDNS(mdns.Changed{Entry: entry("romeo@h", "away")})
	list, err := w.Peers(t.Context())
	if err != nil || len(list) != 2 || list[0].Instance != "juliet@h" || list[1].Instance != "romeo@h" {
		t.Fatalf("%+v, %v", list, err)
	}
	if r := list[1]; r.Presence.Status != Away || r.Client != "libpurple" || len(r.Links) != 1 || r.Since.IsZero() || r.Changed.Before(r.Since) {
		t.Errorf("romeo: %+v", r)
	}
	w.HandleMDNS(mdns.Changed{Entry: entry("romeo@h", "away")}) // nothing new
	if again, _ := w.Peers(t.Context()); !again[1].Changed.Equal(list[1].Changed) {
		t.Errorf("changed at %v, then %v", list[1].Changed, again[1].Changed)
	}
	w.HandleMDNS(mdns.Vanished{Instance: "romeo@h", Type: serviceType})
	w.HandleMDNS(mdns.Appeared{Entry: entry("nurse@h", "dnd")}) // there is room again
	if list, err = w.Peers(t.Context()); err != nil || len(list) != 2 || list[1].Instance != "nurse@h" {
		t.Errorf("%+v, %v", list, err)
	}
	if len(w.roster.news) != 0 {
		t.Errorf("news pile up: %q", w.roster.news)
	}
}
