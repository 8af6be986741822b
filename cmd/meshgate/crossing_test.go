package main

import (
	"context"
	"testing"

	"meshgate/bridge"
	"meshgate/linklocal"
)

// A calledBy is what rooms on the LAN call us.
type calledBy string

func (c *calledBy) SetName(name string) error {
	*c = calledBy(name)
	return nil
}

// CQ-08: when the gateway's own peer has another presence name, because somebody has
// the one that was wanted, rooms know it by that.
func TestRoomsCallUsWhatTheLANDoes(t *testing.T) {
	var name calledBy
	c := crossing{Hub: bridge.New(bridge.Config{}, bridge.Parts{}), clique: &name}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // there is no hub that would take it
	c.HandleLAN(ctx, linklocal.ContactPublished{ID: "alice@example.org", Instance: "alice@office"})
	if name != "" {
		t.Errorf("called %s: that is a contact", name)
	}
	c.HandleLAN(ctx, linklocal.ContactPublished{ID: bridge.ConciergeID, Instance: "meshgate1@office"})
	if name != "meshgate1@office" {
		t.Errorf("called %q", name)
	}
}
