package sm

// Room is how many bytes of stanzas may be given to Enqueue now, so that what
// is in the engine is written or is about to be: all else is better kept where
// it can still be put into another order. While it is above zero one more
// stanza may be given, of any size. It is 0 as long as no stanza is written at
// all, and while stanzas are sent one by one because one of them may be deadly.
func (e *Engine) Room() int {
	if e.state != Active && e.state != Plain || len(e.out.q) > 0 && e.out.q[0].Strikes > 0 {
		return 0
	}
	unwritten := e.out.bytes - e.conn.inFlight
	room := e.pol.MaxBatch - unwritten
	if w := e.conn.window; w > 0 {
		room = min(room, w-e.out.bytes)
	}
	return max(0, room)
}
