package bridge

// An Outcome is how a message ended. The numbers are on the disk: new ones
// come last.
type Outcome uint8

// The outcomes. The sender of words that were refused is told, with an error or
// in words (unless it was told only just now).
const (
	Pending         Outcome = iota // not ended: it waits for the server, or is on its way to its peer
	Delivered                      // the server has acknowledged it, or it is written to the peer's stream; and not bounced since
	Bounced                        // could not be delivered, its sender was told
	Expired                        // the server could not be reached in time, its sender was told
	Dropped                        // the person who runs the gateway took it out, its sender was told
	Duplicate                      // delivered before (IJ-08)
	Answered                       // by the gateway itself: a question, or no way was found
	StatePassed                    // a chat state, passed on
	Consumed                       // an error about a message that the gateway had sent
	Ignored                        // nothing that the other side could use
	Echo                           // the gateway's own (IJ-08)
	RefusedStranger                // the sender is nobody that policy knows (IJ-05, IJ-06)
	RefusedContact                 // the peer may not write to this contact
	RefusedRate                    // too many
	RefusedLength                  // too long
	RefusedType                    // groupchat, headline, another gateway's, forwarded, no message at all
	RefusedSealed                  // encrypted
	RefusedPeer                    // the peer is gone, unknown or ambiguous
	RefusedFull                    // too many messages on their way to the mesh, or in the outbox
	Aside                          // the server ends the stream over it: it was set aside, its sender was told
	Unsure                         // it came when the gateway was killed; its sender was told
	numOutcomes
)

func (o Outcome) String() string {
	return [numOutcomes]string{
		"pending", "delivered", "bounced", "expired", "dropped", "duplicate", "answered", "state-passed", "consumed", "ignored", "echo",
		"refused-stranger", "refused-contact", "refused-rate", "refused-length", "refused-type", "refused-sealed",
		"refused-peer", "refused-full", "aside", "unsure",
	}[o]
}

// Outcomes are all ends, for whoever shows them.
func Outcomes() []Outcome {
	all := make([]Outcome, 0, numOutcomes)
	for o := Pending + 1; o < numOutcomes; o++ {
		all = append(all, o)
	}
	return all
}

// A Ledger counts the messages of one direction since the start. It balances:
// what entered and what was taken over is pending or has ended.
type Ledger struct {
	Entered uint64
	Carried uint64 // taken over from before the start: they waited then, or came back since
	Pending uint64
	Ended   [numOutcomes]uint64 // that of Pending is not used
}

// Balanced reports whether every message is accounted for.
func (l Ledger) Balanced() bool {
	sum := l.Pending
	for _, n := range l.Ended {
		sum += n
	}
	return l.Entered+l.Carried == sum
}

func (l *Ledger) enter() {
	l.Entered++
	l.Pending++
}

func (l *Ledger) carry() {
	l.Carried++
	l.Pending++
}

func (l *Ledger) end(o Outcome) {
	l.Pending--
	l.Ended[o]++
}

// move gives another end to a message that has one: it had it in this run, or
// is taken over now.
func (l *Ledger) move(from, to Outcome, thisRun bool) {
	if thisRun && l.Ended[from] > 0 {
		l.Ended[from]--
	} else {
		l.Carried++
	}
	l.Ended[to]++
}

// Stats are the bridge's counters at one moment.
type Stats struct {
	FromLAN, FromNetwork Ledger

	PayloadsDropped uint64 // parts of passed messages of the mesh that are on no allow-list (IJ-02)
	PeersIgnored    uint64 // peers that appeared while the limit was reached
	Online          bool   // the server session is up
	Peers           int    // peers remembered
	Mirrors         int    // contacts present on the mesh
	Conversations   int
}
