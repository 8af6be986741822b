package dsps

import "strconv"

// A StreamID names a stream of this service.
type StreamID uint64

// A ConnID names a connection, also one that is being made.
type ConnID uint64

// An Output is what an Engine wants done. Actions are carried out before
// stanzas are sent, both in order.
type Output struct {
	Actions []Action
	Stanzas []IQ
}

// A Deed is what is to be done with a connection or a stream.
type Deed uint8

// The deeds.
const (
	Say    Deed = iota // write Line and a CR
	Attach             // data flows from now on: between Conn, which is peer ID with Right, and Stream
	Abort              // close Conn at once
	Finish             // Conn's peer has left: nothing more to it, but take what it sent until it ends
	Flush              // nothing more from Conn: write what it is still to get, then close
	Dial               // connect to Dest, write Line and a CR, and tell the key that comes back
	Drain              // tell when all that Stream has taken was written
	Hurry              // cut off those who hold up the end of Stream
	Forget             // Stream is no more
)

func (d Deed) String() string {
	return [...]string{"say", "attach", "abort", "finish", "flush", "dial", "drain", "hurry", "forget"}[d]
}

// An Action is a deed and what it is done with.
type Action struct {
	Do     Deed
	Conn   ConnID
	Stream StreamID
	Line   string
	ID     string // of the peer, in blocks
	Right  Right
	Dest   Dest
	Owner  JID    // of the stream that is attached to: who created it, bare
	Client JID    // who is attached
	Why    string // a connection is aborted, for the log; "": that is not worth a word
}

func (a Action) String() string {
	s := a.Do.String()
	for _, f := range []struct {
		name string
		v    string
	}{
		{"conn", number64(uint64(a.Conn))}, {"stream", number64(uint64(a.Stream))}, {"line", a.Line},
		{"id", a.ID}, {"right", string(a.Right)}, {"dest", string(a.Dest.JID)},
	} {
		if f.v != "" {
			s += " " + f.name + "=" + f.v
		}
	}
	return s
}

func number64(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func (e *Engine) do(a Action) { e.out.Actions = append(e.out.Actions, a) }

func (e *Engine) send(iq IQ) { e.out.Stanzas = append(e.out.Stanzas, iq) }

func (e *Engine) refuse(iq IQ, code int, why string) {
	answer := iq.reply("error")
	answer.Error = &Error{code, why}
	e.send(answer)
}
