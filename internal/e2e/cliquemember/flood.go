package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
)

const (
	floodWord  = "flood"
	floodAhead = 2 << 20 // bytes of a flood that wait to be sent at most
	floodPause = time.Millisecond

	maxFloodHead = 80 // bytes of a message before its filling
)

// flooding is message n of a flood of count messages: a copy of the filling with a head.
// It is made with little effort, since plain sockets beside it have none.
func flooding(n int, c command, filling []byte) []byte {
	b := bytes.Clone(filling)
	_ = fmt.Appendf(b[:0], "%s %s %d %d ", floodWord, c.ID, n, c.Count)
	return b
}

// flood says many messages as fast as the room takes them, and prints when it
// began and when the last was out.
func (m *member) flood(ctx context.Context, c command) {
	say, err := m.floodBy(c)
	if err != nil {
		m.report("flood", err)
		return
	}
	filling := bytes.Repeat([]byte("x"), max(c.Size, maxFloodHead))
	m.tell(event{Ev: "flooding", Room: c.Room, ID: c.ID})
	for n := range c.Count {
		if err := say(ctx, flooding(n, c, filling)); err != nil {
			m.report("flood", err)
			return
		}
	}
	m.tell(event{Ev: "flooded", Room: c.Room, ID: c.ID})
}

// floodBy is a way to say a message that waits while there is no room for it.
func (m *member) floodBy(c command) (func(context.Context, []byte) error, error) {
	if c.Data {
		stream, err := m.stream(c.Room)
		return func(ctx context.Context, text []byte) error { return m.sayData(ctx, c.Room, stream, text) }, err
	}
	free := make(chan error, max(1, floodAhead/max(1, c.Size)))
	for range cap(free) {
		free <- nil
	}
	return func(ctx context.Context, text []byte) error {
		select {
		case err := <-free:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		m.rooms.Send(c.Room, saying(command{Body: string(text)}), func(err error) { free <- err })
		return nil
	}, nil
}

// stream is our stream of a room, which is opened once.
func (m *member) stream(room string) (rmulticast.StreamID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stream, ok := m.streams[room]; ok {
		return stream, nil
	}
	stream, err := m.rooms.OpenTube(room, clique.Tube{ID: 1, Type: "dbus", Service: "org.example.Flood"})
	if err == nil {
		m.streams[room] = stream
	}
	return stream, err
}

func (m *member) sayData(ctx context.Context, room string, stream rmulticast.StreamID, text []byte) error {
	for {
		err := m.rooms.SendData(room, stream, text)
		if !errors.Is(err, clique.ErrQueueFull) {
			return err
		}
		select {
		case <-time.After(floodPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A speaker is somebody in a room.
type speaker struct{ room, name string }

// A count is how far a flood has come here.
type count struct {
	id             string
	next, disorder int
}

// counts takes a message of a flood and reports whether it is one. Of all of them
// it prints the last alone, and how many came in another place than theirs.
func (m *member) counts(room, from string, text []byte) bool {
	words := strings.SplitN(string(text[:min(len(text), maxFloodHead)]), " ", 5)
	if len(words) < 5 || words[0] != floodWord {
		return false
	}
	id := words[1]
	n, err := strconv.Atoi(words[2])
	of, err2 := strconv.Atoi(words[3])
	if err != nil || err2 != nil {
		return false
	}
	m.mu.Lock()
	c := m.floods[speaker{room, from}]
	if c == nil || c.id != id {
		c = &count{id: id}
		m.floods[speaker{room, from}] = c
	}
	if n != c.next {
		c.disorder++
	}
	c.next = n + 1
	disorder := c.disorder
	m.mu.Unlock()
	if n == of-1 {
		m.tell(event{Ev: "counted", Room: room, From: from, ID: id, Count: disorder})
	}
	return true
}
