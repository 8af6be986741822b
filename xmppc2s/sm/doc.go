// Package sm is the bookkeeping of XEP-0198: Stream Management for the client
// end of one session: two counters, a queue of what the server has not
// acknowledged, and the rules about what may be written when. The queue is
// meant for what is on its way: what has to wait, waits elsewhere until there
// is Room.
//
// An Engine does no I/O, starts no goroutine and never reads the clock. It
// belongs to one goroutine. Its session outlives the connections below it:
//
//	          Bound(no dialect)
//	offline ──────────────────────▶ plain ◀──┐
//	 ▲ │ │                       Enable│     │ <failed/>
//	 │ │ │      Bound(dialect)         ▼     │
//	 │ │ └─────────────────────▶ enabling ───┤
//	 │ │                                     │ <enabled/>
//	 │ │        Resumed                      ▼
//	 │ └─────────────────────────────────▶ active
//	 └──────────────────────────────────── Lost, from anywhere
//
// While offline or enabling no stanza is written; enabling takes one round
// trip, and stanzas that arrive in it are delivered but not counted. In plain
// the answers to pings are the acknowledgements.
//
// Counters are unsigned 32-bit numbers and wrap around (XEP-0198 §4): "h" is
// compared with what is outstanding, never with the counter itself.
//
// All this is sm:3 and sm:2. The founding document's sm:1 has other elements
// for the same queue and the same states: legacy.go.
//
// A session may outlive the process too. Every change of what the next one
// needs is a Record; a disk that carries them out, all of one AppendRecords
// together, holds a Snapshot at any time, with which Restore goes on.
//
// Numbers are not stored with stanzas: the first stanza of the queue has the
// number acked+1, the next one acked+2, and so on.
package sm
