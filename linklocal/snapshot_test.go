package linklocal

import (
	"context"
	"errors"
	"testing"
	"time"

	"meshgate/linklocal/mdns"
)

func snapshot(t *testing.T, n *node) map[Instance]PeerInfo {
	t.Helper()
	list, err := n.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	infos := map[Instance]PeerInfo{}
	for i, p := range list {
		if i > 0 && list[i-1].Instance.Key() >= p.Instance.Key() {
			t.Errorf("not sorted: %q behind %q", p.Instance, list[i-1].Instance)
		}
		infos[p.Instance] = p
	}
	return infos
}

func TestSnapshotShowsPeersOurContactsAndStreams(t *testing.T) {
	before := time.Now()
	a, b := twoNodes(t, Config{})
	lan := a.dns.lan
	pidgin := lan.host("127.0.0.4")
	pidgin.peer(t, "bob@h4", 5298, "txtvers=1", "status=dnd", "msg=at lunch", "node=libpurple", "ver=2.14.12")
	a.waitPeer(t, "bob@h4")
	if err := verdict(t, a.send(b.name, "hello")); err != nil {
		t.Fatal(err)
	}
	got := snapshot(t, a)
	if len(got) != 3 {
		t.Fatalf("%d names, want juliet, romeo and bob: %+v", len(got), got)
	}
	bob := got["bob@h4"]
	if bob.Client != "libpurple 2.14.12" || bob.Presence.Status != DND || bob.Presence.Msg != "at lunch" || bob.Port != 5298 ||
		len(bob.Addrs) != 1 || bob.Contact != "" || bob.Streams != 0 || bob.Host == "" || len(bob.Links) != 1 {
		t.Errorf("bob: %+v", bob)
	}
	if bob.Since.Before(before) || bob.Since.After(time.Now()) || !bob.Changed.Equal(bob.Since) {
		t.Errorf("bob since %v, changed %v", bob.Since, bob.Changed)
	}
	own, romeo := got[a.name], got[b.name]
	if own.Contact != "c" || own.Wanted != "juliet@gw" || own.Streams != 1 || own.Port == 0 || own.Since.Before(before) {
		t.Errorf("our own: %+v", own)
	}
	if romeo.Contact != "" || romeo.Streams != 1 {
		t.Errorf("the peer with a stream: %+v", romeo)
	}
}

func TestSnapshotTellsSinceFromChanged(t *testing.T) {
	n, b := twoNodes(t, Config{})
	first := snapshot(t, n)[b.name]
	if err := b.Publish(Contact{ID: "c", User: "romeo", Presence: Presence{Status: Away}}); err != nil {
		t.Fatal(err)
	}
	wait1(t, n.recorder, "the new status", func(p PeerChanged) bool { return p.Peer.Presence.Status == Away })
	second := snapshot(t, n)[b.name]
	if !second.Since.Equal(first.Since) || !second.Changed.After(first.Changed) {
		t.Errorf("since %v then %v, changed %v then %v", first.Since, second.Since, first.Changed, second.Changed)
	}
	if own := snapshot(t, b)[b.name]; !own.Changed.After(own.Since) {
		t.Errorf("our own: since %v, changed %v", own.Since, own.Changed)
	}
	b.dns.Unregister(mdns.ServiceID(`presence "c" romeo`))
	wait1(t, n.recorder, "the goodbye", func(p PeerVanished) bool { return p.Instance == b.name })
	if _, ok := snapshot(t, n)[b.name]; ok {
		t.Error("who has gone is still in the snapshot")
	}
}

func TestNoSnapshotOfWhatDoesNotRun(t *testing.T) {
	n := start(t, new(fakeLAN).host("127.0.0.2"), "juliet", Config{})
	n.stop()
	if _, err := n.Peers(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Config{}, n.dns).Peers(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("before the start: %v", err)
	}
}

func TestSnapshotSaysWhichStreamsAreEncrypted(t *testing.T) {
	for policy, want := range map[TLSPolicy]bool{Off: false, Require: true} {
		a, b := twoNodes(t, withTLS(policy, policy, nil))
		if err := verdict(t, a.send(b.name, "hello")); err != nil {
			t.Fatal(err)
		}
		b.waitBody(t, "hello")
		for _, n := range []*node{a, b} {
			for name, p := range snapshot(t, n) {
				if p.TLS != want || p.Streams != 1 {
					t.Errorf("policy %v: %s: %+v", policy, name, p)
				}
			}
		}
	}
}
