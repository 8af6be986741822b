package clique

import (
	"meshgate/clique/rmulticast"
)

// A Tube is a channel beside the documents that a member announces in the room:
// of type "dbus" it has a stream of the room of its author's, of type "stream" it
// is a connection to its author, which is not our business.
type Tube struct {
	ID         uint32 // of the tube, 1 to 2^31-1, the same for all that are in it
	Type       string // "dbus" or "stream"
	Service    string
	Stream     rmulticast.StreamID // of its author; 0: none
	Initiator  string              // the presence name of whoever made it
	BusName    string              // the author's unique name, ":1.x"
	Parameters []Parameter
}

// A Parameter says more of a tube.
type Parameter struct{ Name, Type, Value string } // type str, int, uint, bytes (base64) or bool
