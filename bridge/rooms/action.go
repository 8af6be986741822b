package rooms

import "meshgate/internal/stanza"

// An action is something that an engine wants done. Actions are carried out in
// order: a line is on its way to the disk before it is on its way to the server.
type action interface{ isAction() }

type (
	sendLAN struct {
		stanza *stanza.Element
		token  uint64 // what became of it is wanted under this number; 0: is not
		mark   mark   // to be remembered as soon as it is sent, with token
	}
	sendMUC struct{ stanza *stanza.Element }
	write   struct {
		changes []Change
		token   uint64   // as above
		due     *lanLine // whose row it is: that it did not get to the disk is wanted
	}
	later     []Change
	remember  struct{ mark mark } // as soon as possible
	finish    []func()            // these messages of the MUC are done
	setStatus struct{ text string }
	tell      struct{ peer, text string } // to one LAN member
	note      struct {                    // for the log
		text string
		args []any
	}
)

func (sendLAN) isAction()   {}
func (sendMUC) isAction()   {}
func (write) isAction()     {}
func (later) isAction()     {}
func (remember) isAction()  {}
func (finish) isAction()    {}
func (setStatus) isAction() {}
func (tell) isAction()      {}
func (note) isAction()      {}
