package mdns

import (
	"slices"
	"testing"
	"time"
)

const chatType = "_presence._tcp"

// TestCapturedAnnouncements: what real stacks multicast makes the entry it
// should, and its goodbye ends it. LL-07, LL-10, LL-11.
func TestCapturedAnnouncements(t *testing.T) {
	packets := captured(t)
	r := newRig(t, Config{Browse: []string{chatType}, Zone: "eth0"})
	r.advance(2 * time.Second)
	r.e.HandlePacket(r.now, Packet{Data: packets["libpurple-announce"], Src: peerAddr})
	r.take()
	e := wantEvent[Appeared](r, "libpurple announces").Entry
	if e.Instance != "alice@h1" || e.Type != chatType || e.Host != "h1.local" || e.Port != 5298 {
		t.Errorf("entry %+v", e)
	}
	if !slices.Contains(e.Text, "1st=Alice") || !slices.Contains(e.Text, "txtvers=1") {
		t.Errorf("text %q", e.Text)
	}
	if len(e.Addrs) != 2 || e.Addrs[0].String() != "10.77.0.1" || e.Addrs[1].Zone() != "eth0" {
		t.Errorf("addresses %v", e.Addrs)
	}
	r.advance(2 * time.Second)
	r.clear()
	r.e.HandlePacket(r.now, Packet{Data: packets["libpurple-text-change"], Src: peerAddr})
	r.take()
	if ev := wantEvent[Changed](r, "libpurple changes its status"); slices.Equal(ev.Text, e.Text) {
		t.Error("the same text as before")
	}
}

// TestCapturedProbe: a name of ours is defended against libpurple's probe. LL-05.
func TestCapturedProbe(t *testing.T) {
	r := newRig(t, Config{Host: "gw"})
	r.e.Register(r.now, Service{ID: "a", Instance: "alice@h1", Type: chatType, Port: 1})
	r.advance(10 * time.Second)
	r.clear()
	r.e.HandlePacket(r.now, Packet{Data: captured(t)["libpurple-probe"], Src: peerAddr})
	r.take()
	if len(r.sent) != 1 || r.sent[0].to.IsValid() || !r.sent[0].Response {
		t.Fatalf("sent %v, want one multicast response", r.sent)
	}
	r.advance(5 * time.Second)
	r.wantNoEvents("a probe takes no name")
}
