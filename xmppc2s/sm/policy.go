package sm

import "time"

// A Policy says when acknowledgements are asked for and given, and how much
// may be on its way. Zero fields mean the defaults.
type Policy struct {
	// An acknowledgement is requested after RequestEvery stanzas (default 32)
	// or RequestDelay after the first one (default 50 ms), one at a time.
	RequestEvery int
	RequestDelay time.Duration
	// AckTimeout (default 20 s): a connection on which a request stays
	// unanswered and nothing arrives that long is dead. One that brings other
	// things but no answer is dead after four times that.
	AckTimeout time.Duration
	// Keepalive (default 60 s): silence after which a request is sent just to
	// see whether the server is there.
	Keepalive time.Duration
	// ProbeTimeout (default 5 s): a connection of which Probe says that there is
	// reason to doubt it, and on which nothing arrives that long, is dead.
	ProbeTimeout time.Duration
	// h is sent unasked after AnswerEvery stanzas (default 8) or AnswerDelay
	// (default 1 s) after the first of them is handled, so that a connection that is lost in
	// silence leaves nothing in doubt. Servers keep a finite queue of what we
	// have not acknowledged, some a very short one. COMPAT Prosody 0.12: above
	// 500 stanzas, or what smacks_max_queue_size says, it forgets the oldest and
	// refuses to resume. COMPAT ejabberd 23.01: above 5000, or what
	// max_ack_queue says, it ends the session.
	AnswerEvery int
	AnswerDelay time.Duration
	// MaxBatch (default 16 KiB, one TLS record): most bytes of one write,
	// unless a single stanza is longer.
	MaxBatch int
	// MaxInbound (default 256 stanzas) and MaxInboundBytes (default 1 MiB)
	// bound what has arrived and was not taken.
	MaxInbound      int
	MaxInboundBytes int
	// RotateAt (default 0: never) is the count in either direction from which
	// on RotationDue asks for a new session.
	RotateAt uint32
	// Journal makes the engine report Records. They have to be taken then.
	Journal bool
	// Acks makes the engine keep what was acknowledged for TakeAcked.
	Acks bool
}

func (p Policy) withDefaults() Policy {
	setDefault(&p.RequestEvery, 32)
	setDefault(&p.RequestDelay, 50*time.Millisecond)
	setDefault(&p.AckTimeout, 20*time.Second)
	setDefault(&p.Keepalive, 60*time.Second)
	setDefault(&p.ProbeTimeout, 5*time.Second)
	setDefault(&p.AnswerEvery, 8)
	setDefault(&p.AnswerDelay, time.Second)
	setDefault(&p.MaxBatch, 16<<10)
	setDefault(&p.MaxInbound, 256)
	setDefault(&p.MaxInboundBytes, 1<<20)
	return p
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
