package main

import (
	"context"

	"meshgate/bridge"
	"meshgate/bridge/rooms"
	"meshgate/bridge/streams"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
	"meshgate/xmppc2s"
)

// A crossing hands what comes from the network to the hub, or to the rooms, and
// what comes from the LAN to the hub. The service for streams learns from both
// who is who.
type crossing struct {
	*bridge.Hub
	rooms  *rooms.Rooms
	clique interface{ SetName(string) error }

	streams *streams.Service // nil: there is none
}

// HandleLAN has rooms on the LAN call us what everything else there does.
func (c crossing) HandleLAN(ctx context.Context, ev linklocal.Event) {
	if ev, ok := ev.(linklocal.ContactPublished); ok && ev.ID == bridge.ConciergeID {
		c.clique.SetName(string(ev.Instance)) // a presence name is never refused
	}
	if c.streams != nil {
		c.streams.HandleLAN(ev)
	}
	c.Hub.HandleLAN(ctx, ev)
}

func (c crossing) HandleServer(ctx context.Context, ev xmppc2s.Event) {
	if c.streams != nil {
		c.streams.HandleServer(ev)
	}
	switch ev := ev.(type) {
	case xmppc2s.RoomInvited, xmppc2s.RoomDeclined: // somebody is to be told
	case xmppc2s.RoomEvent:
		c.rooms.HandleServer(ctx, ev)
		return
	case xmppc2s.Undelivered:
		if isLine(ev.Stanza) {
			c.rooms.HandleServer(ctx, ev)
			return
		}
	case xmppc2s.Online, xmppc2s.Offline, xmppc2s.Acknowledged:
		c.rooms.HandleServer(ctx, ev)
	}
	c.Hub.HandleServer(ctx, ev)
}

// isLine reports whether a stanza is one of a room.
func isLine(st *stanza.Element) bool {
	return st.Is(stanza.NSClient, "message") && st.Attr("type") == "groupchat"
}

// fromMDNS hands what mDNS says to all who are named.
type fromMDNS []mdns.Handler

func (all fromMDNS) HandleMDNS(ev mdns.Event) {
	for _, h := range all {
		h.HandleMDNS(ev)
	}
}
