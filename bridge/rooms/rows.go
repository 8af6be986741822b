package rooms

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"meshgate/xmppc2s"
)

// Rows have keys of the room's name, a zero byte, what they are, and for lines
// their number (8 bytes, big endian). siteKey has none of that.
const (
	rowDue  = 'd' // a lanLine as JSON
	rowHeld = 'h' // a mucLine as JSON
	rowMark = 'm' // a markRow as JSON
	siteKey = "\x00site"
)

// A markRow says how far we have come in a MUC.
//
// It is the first row that is written, so all others are of the same MUC.
type markRow struct {
	MUC   string `json:"muc"`
	After string `json:"after,omitempty"` // the archive's id of the last line that is done
	Since int64  `json:"since"`           // its time, in milliseconds of unix time
	Last  mucKey `json:"last,omitempty"`  // held.last
}

func rowKey(room string, kind byte, seq uint64) []byte {
	b := append([]byte(room), 0, kind)
	if seq > 0 {
		b = binary.BigEndian.AppendUint64(b, seq)
	}
	return b
}

func (e *engine) dueRow(l *lanLine) Change {
	return Change{rowKey(e.room.Name, rowDue, l.seq), marshal(l)}
}

func (e *engine) heldRow(l *mucLine) Change {
	return Change{rowKey(e.room.Name, rowHeld, l.seq), marshal(l)}
}

func (e *engine) markChange() Change { return e.rowOfMark(e.held.mark) }

func (e *engine) rowOfMark(m markRow) Change {
	return Change{rowKey(e.room.Name, rowMark, 0), marshal(m)}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // then nothing of XML gets more than twice as long
	if err := enc.Encode(v); err != nil {
		panic("rooms: a row cannot be written: " + err.Error()) // it is made of strings and numbers
	}
	return b.Bytes()
}

// A saved is what a room's rows say.
type saved struct {
	due  []*lanLine
	held []*mucLine
	mark markRow
}

// add takes a row whose key is that behind the room's name. What cannot be read is
// left alone.
func (s *saved) add(key, value []byte) {
	switch {
	case len(key) == 1 && key[0] == rowMark:
		_ = json.Unmarshal(value, &s.mark) // else there is none
	case len(key) == 9 && key[0] == rowDue:
		if l := (&lanLine{seq: binary.BigEndian.Uint64(key[1:])}); json.Unmarshal(value, l) == nil {
			s.due = append(s.due, l)
		}
	case len(key) == 9 && key[0] == rowHeld:
		if l := (&mucLine{seq: binary.BigEndian.Uint64(key[1:]), written: true}); json.Unmarshal(value, l) == nil {
			s.held = append(s.held, l)
		}
	}
}

// restore begins with what a run before has left. What was said in another MUC, with
// which the Clique room was joined then, is none of this one's business.
func (e *engine) restore(now time.Time, s saved) {
	if s.mark.MUC != e.muc {
		for _, l := range s.due {
			e.emit(later{Change{Key: e.dueRow(l).Key}})
		}
		for _, l := range s.held {
			e.emit(later{Change{Key: e.heldRow(l).Key}})
		}
		s = saved{mark: markRow{MUC: e.muc}}
		e.emit(later{e.rowOfMark(s.mark)})
	}
	e.held.mark = s.mark
	e.held.last, e.held.sure = s.mark.Last, s.mark.Last
	slices.SortFunc(s.due, func(a, b *lanLine) int { return cmp.Compare(a.seq, b.seq) })
	slices.SortFunc(s.held, func(a, b *mucLine) int { return cmp.Compare(a.seq, b.seq) })
	for _, l := range s.due {
		e.due.seq = l.seq
		if e.before[e.lineMark(l.ID)] || e.due.byID[l.ID] != nil {
			e.emit(later{Change{Key: e.dueRow(l).Key}})
			continue
		}
		e.fromLAN.Entered++
		l.came = now
		e.due.lines = append(e.due.lines, l)
		e.due.byID[l.ID] = l
	}
	for _, l := range s.held {
		e.held.seq = l.seq - 1
		if e.before[e.givenMark(l)] || e.held.byKey[l.Key] != nil {
			e.held.seq = l.seq
			e.enqueue(&mucLine{Key: l.Key, ended: true})
			e.emit(later{Change{Key: e.heldRow(l).Key}})
			continue
		}
		e.fromMUC.Entered++
		l.came = now
		e.hold(l)
	}
}

// sinceSlack is how much later than the MUC we may say that a line was said: it was on
// its way, and clocks differ. So much of a history is asked for again.
const sinceSlack = time.Minute

// beginMark notes, if nothing is noted yet, that all up to now is not our business:
// start is the archive's last line.
func (e *engine) beginMark(now time.Time, start string) {
	m := &e.held.mark
	if m.After != "" || m.Since != 0 && start == "" || len(e.held.order) > 0 {
		return
	}
	m.After, m.Since = start, max(m.Since, now.Add(sinceSlack).UnixMilli())
	e.emit(later{e.markChange()})
}

// mucRoom is the room for the session to enter.
func (e *engine) mucRoom() xmppc2s.Room {
	r := xmppc2s.Room{
		JID: e.room.MUC, Nick: e.room.Nick, Password: e.room.Password,
		After: e.held.mark.After, Lines: e.cfg.Limits.Missed, Age: e.cfg.Timing.HeldKept,
	}
	if e.held.mark.Since != 0 {
		r.Since = time.UnixMilli(e.held.mark.Since).Add(-sinceSlack)
	}
	return r
}
