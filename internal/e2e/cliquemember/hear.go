package main

import (
	"context"
	"fmt"

	"meshgate/clique"
	"meshgate/internal/stanza"
)

// HandleClique prints what happens in rooms.
func (m *member) HandleClique(_ context.Context, ev clique.Event) {
	switch ev := ev.(type) {
	case clique.Found:
		m.tell(event{Ev: "found", Room: ev.Name, Group: ev.Group.String()})
	case clique.Gone:
		m.tell(event{Ev: "gone", Room: ev.Name})
	case clique.Entered:
		m.tell(event{Ev: "entered", Room: ev.Room, Group: ev.Group.String()})
	case clique.Joined:
		m.tell(event{Ev: "joined", Room: ev.Room, Members: ev.Members})
	case clique.Left:
		m.tell(event{Ev: "left", Room: ev.Room, From: ev.Member, Why: ev.Why.String()})
	case clique.Frozen:
		m.tell(event{Ev: "frozen", Room: ev.Room, Frozen: ev.Frozen})
	case clique.Restarted:
		m.tell(event{Ev: "restarted", Room: ev.Room})
	case clique.Closed:
		m.tell(event{Ev: "closed", Room: ev.Room, Why: inWords(ev.Err)})
	case clique.Received:
		if !m.counts(ev.Room, ev.From, []byte(ev.Stanza.Child(stanza.NSClient, "body").Text())) {
			m.said(ev)
		}
	case clique.Data:
		if !m.counts(ev.Room, ev.From, ev.Data) {
			m.tell(event{Ev: "data", Room: ev.Room, From: ev.From, Body: string(ev.Data)})
		}
	}
}

func (m *member) said(ev clique.Received) {
	m.tell(event{
		Ev: "said", Room: ev.Room, From: ev.From, ID: fmt.Sprintf("%08x/%d", uint32(ev.FromID), uint32(ev.Number)),
		Type: ev.Stanza.Attr("type"), Body: ev.Stanza.Child(stanza.NSClient, "body").Text(), XML: ev.Stanza.String(),
	})
}

func inWords(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
