package bridge

// An Outcome is how a message ended.
type Outcome uint8

// The outcomes. The sender of words that were refused is told, with an error or
// in words (unless it was told only just now).
const (
	Accepted        Outcome = iota // mesh to network: in the outbox, and not bounced since
	Delivered                      // network to mesh: written to the peer's stream
	Answered                       // by the gateway itself: a question, or no way was found
	StatePassed                    // a chat state, passed on
	Consumed                       // an error about a message that the gateway had sent
	Bounced                        // could not be delivered, its sender was told
	Ignored                        // nothing that the other side could use
	Echo                           // the gateway's own (IJ-08)
	Duplicate                      // delivered before (IJ-08)
	RefusedStranger                // the sender is nobody that policy knows (IJ-05, IJ-06)
	RefusedContact                 // the peer may not write to this contact
	RefusedRate                    // too many
	RefusedLength                  // too long
	RefusedType                    // groupchat, headline, another gateway's, forwarded, no message at all
	RefusedSealed                  // encrypted
	RefusedPeer                    // the peer is gone, unknown or ambiguous
	RefusedFull                    // too many messages on their way to the mesh
	numOutcomes
)

func (o Outcome) String() string {
	return [numOutcomes]string{
		"accepted", "delivered", "answered", "state-passed", "consumed", "bounced", "ignored", "echo", "duplicate",
		"refused-stranger", "refused-contact", "refused-rate", "refused-length", "refused-type", "refused-sealed",
		"refused-peer", "refused-full",
	}[o]
}

// Outcomes are all outcomes, for whoever shows them.
func Outcomes() []Outcome {
	all := make([]Outcome, numOutcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// A Ledger counts the messages of one direction. At any time Entered is the
// sum of Pending and all that Ended.
type Ledger struct {
	Entered uint64
	Pending uint64 // not yet ended: on their way to a peer
	Ended   [numOutcomes]uint64
}

func (l *Ledger) enter() {
	l.Entered++
	l.Pending++
}

func (l *Ledger) end(o Outcome) {
	l.Pending--
	l.Ended[o]++
}

// bounce moves a message that had been accepted.
func (l *Ledger) bounce() {
	l.Ended[Accepted]--
	l.Ended[Bounced]++
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
