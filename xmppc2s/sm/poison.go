package sm

// A poison recognises a server that resumes a session and then does not
// process what it is sent.
//
// COMPAT Prosody 0.12: a connection that breaks in the middle of a stanza
// leaves half of it in the XML parser, and the resumed stream is fed into that
// parser: everything is swallowed, or the stream ends with an error, again
// after each resumption. It counts only connections that ended that way; a
// connection that breaks says nothing about the server.
type poison struct {
	hard  bool // the last connection ended by silence, refusal or nonsense
	stuck int  // resumptions in a row that found no progress after such an end
}

// maxStuck is how often a resumption may lead nowhere.
const maxStuck = 2

func (p *poison) lost(hard bool) { p.hard = hard }

// progress notes that the server has processed something.
func (p *poison) progress() { p.stuck = 0 }

// resumed notes a resumption and reports whether the session is to be given up.
func (p *poison) resumed(advanced, outstanding bool) bool {
	switch {
	case advanced || !outstanding:
		p.stuck = 0
	case p.hard:
		p.stuck++
	}
	return p.stuck >= maxStuck
}
