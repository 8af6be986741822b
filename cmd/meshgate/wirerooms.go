package main

import (
	"meshgate/bridge"
	"meshgate/bridge/rewrite"
	"meshgate/bridge/rooms"
	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/linklocal"
)

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
		Timing: rooms.Timing{LineKept: c.Outbox.TTL, HeldKept: max(c.CatchUp.Age, leastRoomAge)},
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

		Resumable: c.Account.OnStop == "resumable",

		Limits: rmulticast.Limits{Message: 1 << 20, Queue: 2 << 20, Cache: 8 << 20, Held: 4 << 20},
	}
}
