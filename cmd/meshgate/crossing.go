package main

import (
	"context"
	"time"

	"meshgate/bridge"
	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
	"meshgate/bridge/streams"
	"meshgate/clique"
	"meshgate/clique/rmulticast"
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
	case xmppc2s.RoomInvited: // somebody is to be told
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

// teller says something to one peer, as the gateway itself.
func teller(lan *linklocal.Service, mark string) func(peer, text string) {
	return func(peer, text string) {
		lan.Send(linklocal.Outgoing{From: bridge.ConciergeID, To: linklocal.Instance(peer), Stanza: rewrite.NoticeToLAN(mark, text)})
	}
}

func (c *config) roomsConfig() (rooms.Config, error) {
	cfg := rooms.Config{
		Site: c.Site,
		Mark: c.Concierge.Name,
		Limits: rooms.Limits{
			MemberRate: c.peerRate(),
			BodyBytes:  c.Limits.Body,
			Missed:     c.CatchUp.Messages,
		},
		Timing: rooms.Timing{LineKept: c.Outbox.TTL, HeldKept: max(c.CatchUp.Age, 10*time.Minute)}, // for what is on its way
	}
	for _, ct := range c.Contacts {
		j, err := parseAddress(ct.JID)
		if err != nil {
			return cfg, err
		}
		cfg.Contacts = append(cfg.Contacts, j)
	}
	for _, r := range c.Rooms {
		muc, err := parseAddress(r.MUC)
		if err != nil {
			return cfg, err
		}
		room := rooms.Room{
			Name: r.Name, MUC: muc, Nick: r.Nick, Make: r.Make, Private: !r.Advertise, Quiet: !r.Announce,
			Peers:   c.Peers,
			History: rooms.History{Lines: r.History.Lines, Age: r.History.Age},
		}
		if len(r.Peers) > 0 {
			room.Peers = r.Peers
		}
		if room.Group, err = r.group(); err != nil {
			return cfg, err
		}
		if room.Password, err = c.roomPassword(r); err != nil {
			return cfg, err
		}
		cfg.Rooms = append(cfg.Rooms, room)
	}
	return cfg, cfg.Validate()
}

// cliqueConfig keeps rooms to the memory of a small machine: what is said in them
// are lines.
func (c *config) cliqueConfig() clique.Config {
	return clique.Config{
		Name:     string(linklocal.PresenceName(c.Concierge.Name, c.machine())),
		IPv6:     c.LAN.IPv6,
		MaxRooms: maxRooms,
		Limits:   rmulticast.Limits{Message: 1 << 20, Queue: 2 << 20, Cache: 8 << 20, Held: 4 << 20},
	}
}
