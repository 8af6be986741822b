// Package outbox is what waits for a session: stanzas that were accepted and
// not yet given to it, in lanes.
//
// A Box does no I/O, starts no goroutine and never reads the clock. It belongs
// to one goroutine. It takes stanzas with Add and gives them with Next:
//
//	Add ──▶ control ───┐        the first, within half of what goes out; else
//	     ├▶ chat ──────┤        the head that has waited longest,
//	     ├▶ light ─────┼▶ Next  counting from its lane's head start,
//	     ├▶ presence ──┤        but of four at least three of chat
//	     └▶ bulk ──────┘
//	SetAside ──▶ aside ──▶ Retry, Drop
//
// Within a lane the order is that of Add. In a calm queue a lane goes before
// the next one; but a head start is finite, and so are chat's share and what
// control may have ahead of others, so that nothing starves.
//
// Where there is a journal, each stanza that stays gets a row there (Changes),
// and once that is durable its data need not be in memory: then an Entry has
// none, and whoever wants it reads the row. So a long queue costs an index of
// about fifty bytes for each stanza, and the disk.
package outbox
