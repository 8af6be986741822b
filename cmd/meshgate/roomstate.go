package main

import (
	"iter"

	"meshgate/bridge/rooms"
	"meshgate/bridge/store"
)

// roomPast is what the rooms remember.
type roomPast struct {
	state  *state
	bucket *store.Bucket
}

// openRooms opens it, for as many rooms as there may be: another configuration
// finds what this one has left.
func (s *state) openRooms() error {
	most := rooms.Config{Rooms: make([]rooms.Room, maxRooms)}.MaxRows()
	b, err := s.Bucket("rooms", store.Limit{Rows: most, RowBytes: rooms.MaxRowBytes})
	s.rooms = roomPast{s, b}
	return err
}

func (p roomPast) All() iter.Seq2[[]byte, []byte] { return p.bucket.All() }

func (p roomPast) Write(done func(error), changes ...rooms.Change) {
	p.state.Write(func(err error) {
		if done != nil {
			done(err)
		}
	}, p.list(changes)...)
}

func (p roomPast) Later(changes ...rooms.Change) { p.state.Later(p.list(changes)...) }

func (p roomPast) list(changes []rooms.Change) []store.Change {
	list := make([]store.Change, len(changes))
	for i, c := range changes {
		list[i] = p.bucket.Set(c.Key, c.Value)
	}
	return list
}

// lineMarks are the marks of lines, if there are any.
func (s *state) lineMarks() rooms.Marks {
	if s.lines == nil {
		return nil
	}
	return s.lines
}
