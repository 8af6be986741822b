package client

import (
	"errors"
	"io"
	"testing"

	"meshgate/bridge/dsps"
)

func TestRelayThroughAnotherService(t *testing.T) { // DS-14
	b := newSwitchboard(t)
	b.service("dsps.office")
	b.service("dsps.far")
	s := b.guest(rob).create("dsps.far", Options{})
	source := b.connect(s, Method{})
	g := b.guest(ann)
	b.must(s.Invite(b.ctx, Offer{Right: dsps.Master, Peers: []dsps.JID{ann}}))
	far := g.accept()
	near, err := g.Relay(b.ctx, "dsps.office", far, "", Options{})
	b.must(err)
	c := b.connect(near, Method{TLS: true})
	talk := func() {
		t.Helper()
		for _, way := range [][2]*Conn{{c, source}, {source, c}} {
			_, err := io.WriteString(way[0], "hello")
			b.must(err)
			got := make([]byte, 5)
			if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "hello" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	talk()
	who, err := near.Who(b.ctx)
	b.must(err)
	if len(who) != 2 || who[1].Right != dsps.Relay || who[1].JID != "dsps.far" {
		t.Errorf("%+v", who)
	}
	var refused *dsps.Error
	if err := g.Reconnect(b.ctx, near, far); !errors.As(err, &refused) || refused.Code != dsps.MethodNotAllowed {
		t.Errorf("still connected: %v", err)
	}
	b.mu.Lock()
	b.links[0].Close()
	b.mu.Unlock()
	b.event(near, "dsps.far", dsps.Waiting)
	b.event(s, ann, dsps.Waiting)
	b.must(g.Reconnect(b.ctx, near, far))
	b.event(s, ann, dsps.Connect)
	talk()
	if _, err := g.Relay(b.ctx, "dsps.office", far, "nowhere", Options{}); !errors.As(err, &refused) || refused.Code != dsps.GatewayTimeout {
		t.Errorf("to nowhere: %v", err)
	}
	talk()
}
