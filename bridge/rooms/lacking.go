package rooms

import "time"

// A LAN line has a row from when it comes, for Clique does not tell it to a run after a
// kill if the snapshot says that we have it. What the disk has not taken is written again
// until it has, and meanwhile no snapshot is kept (Rooms.keep).

func (e *engine) writeDue(line *lanLine) {
	e.emit(write{changes: []Change{e.dueRow(line)}, due: line})
}

// notWritten notes that the disk has not taken the row of a line, which may have ended.
func (e *engine) notWritten(now time.Time, line *lanLine) {
	if e.due.byID[line.ID] == line {
		line.lacking = true
		e.due.again = now.Add(sendRetry)
	}
	e.settle(now)
}

// writeAgain gives the disk once more what it has not taken.
func (e *engine) writeAgain(now time.Time) {
	if now.Before(e.due.again) {
		return
	}
	for _, line := range e.due.lines {
		if line.lacking {
			line.lacking = false
			e.writeDue(line)
		}
	}
}

// lacking is how many lines have no row and should.
func (d *due) lacking() (n int64) {
	for _, line := range d.lines {
		if line.lacking {
			n++
		}
	}
	return n
}
