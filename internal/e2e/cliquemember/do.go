package main

import (
	"context"
	"errors"
	"net/netip"

	"meshgate/clique"
	"meshgate/internal/stanza"
)

// A command is one line of input; which fields count depends on Do.
type command struct {
	Do      string `json:"do"` // join, leave, say, raw, flood, rooms, quit
	Room    string `json:"room"`
	Group   string `json:"group"` // empty: by its advert
	Make    bool   `json:"make"`
	Private bool   `json:"private"`
	ID      string `json:"id"` // of a message, to be told when it is sent
	Type    string `json:"type"`
	Body    string `json:"body"`
	XML     string `json:"xml"`
	Count   int    `json:"count"`
	Size    int    `json:"size"`
	Data    bool   `json:"data"` // a flood on a stream of its own instead of documents
}

func (m *member) do(ctx context.Context, c command) {
	switch c.Do {
	case "join":
		m.report("join "+c.Room, m.join(c))
	case "leave":
		m.rooms.Leave(c.Room)
	case "say":
		m.send(c, saying(c))
	case "raw":
		st, err := stanza.Parse([]byte(c.XML), stanza.NSClient, stanza.Limits{})
		if err != nil {
			m.report("raw", err)
			return
		}
		m.send(c, st)
	case "flood":
		m.work.Go(func() { m.flood(ctx, c) })
	case "rooms":
		for _, r := range m.rooms.Rooms() {
			m.tell(event{Ev: "room", Room: r.Name, Group: r.Group.String(), Members: r.Members, Why: r.State})
		}
		m.tell(event{Ev: "rooms"})
	default:
		m.report("command", errors.New("unknown: "+c.Do))
	}
}

func (m *member) join(c command) error {
	r := clique.Room{Name: c.Room, Make: c.Make, Private: c.Private}
	if c.Group != "" {
		var err error
		if r.Group, err = netip.ParseAddrPort(c.Group); err != nil {
			return err
		}
	}
	return m.rooms.Join(r)
}

func saying(c command) *stanza.Element {
	if c.Type == "" {
		c.Type = "groupchat"
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: c.Type},
		stanza.New(stanza.NSClient, "body", stanza.Text(c.Body)))
}

// send says a message and prints when it is out.
func (m *member) send(c command, st *stanza.Element) {
	m.rooms.Send(c.Room, st, func(err error) {
		// done may be called where nothing may wait.
		m.work.Go(func() { m.tell(event{Ev: "sent", Room: c.Room, ID: c.ID, Why: inWords(err)}) })
	})
}
