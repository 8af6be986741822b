package clique

import (
	"slices"
	"strconv"

	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
)

const (
	nsTubes = "http://telepathy.freedesktop.org/xmpp/tubes"

	maxTubes      = 64 // of one member; more are passed over
	maxParameters = 32
	maxTubeID     = 1<<31 - 1
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

// tubeList is the message that says all tubes that we have, instead of those that
// we had.
func tubeList(tubes []Tube) *stanza.Element {
	list := stanza.New(nsTubes, "tubes")
	for _, t := range tubes {
		list.Nodes = append(list.Nodes, stanza.Node{Element: t.element()})
	}
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"}, list)
}

func (t *Tube) element() *stanza.Element {
	e := stanza.New(nsTubes, "tube",
		stanza.Attr{Name: "type", Value: t.Type}, stanza.Attr{Name: "service", Value: t.Service},
		stanza.Attr{Name: "id", Value: strconv.FormatUint(uint64(t.ID), 10)})
	if t.Stream != 0 {
		e = e.WithAttr("stream-id", strconv.Itoa(int(t.Stream))).WithAttr("initiator", t.Initiator).WithAttr("dbus-name", t.BusName)
	}
	parameters := stanza.New(nsTubes, "parameters")
	for _, p := range t.Parameters {
		parameters.Nodes = append(parameters.Nodes, stanza.Node{Element: stanza.New(nsTubes, "parameter",
			stanza.Attr{Name: "name", Value: p.Name}, stanza.Attr{Name: "type", Value: p.Type}, stanza.Text(p.Value))})
	}
	e.Nodes = append(e.Nodes, stanza.Node{Element: parameters})
	return e
}

// parseTubes reads a list of tubes; false: the message has none. Tubes that make
// no sense are passed over.
func parseTubes(st *stanza.Element) (tubes []Tube, ok bool) {
	list := st.Child(nsTubes, "tubes")
	if list == nil {
		return nil, false
	}
	for e := range list.Children() {
		if t, ok := parseTube(e); ok && len(tubes) < maxTubes {
			tubes = append(tubes, t)
		}
	}
	return tubes, true
}

func parseTube(e *stanza.Element) (t Tube, ok bool) {
	id, err := strconv.ParseUint(e.Attr("id"), 10, 31)
	stream, errStream := strconv.ParseUint(e.Attr("stream-id"), 10, 16)
	t = Tube{
		ID: uint32(id), Type: e.Attr("type"), Service: e.Attr("service"), Stream: rmulticast.StreamID(stream),
		Initiator: e.Attr("initiator"), BusName: e.Attr("dbus-name"),
	}
	switch {
	case !e.Is(nsTubes, "tube") || err != nil || id == 0 || t.Service == "":
		return t, false
	case t.Type == "dbus" && (errStream != nil || stream == 0):
		return t, false
	case t.Type == "stream":
		t.Stream = 0
	case t.Type != "dbus":
		return t, false
	}
	for p := range e.Child(nsTubes, "parameters").Children() {
		if len(t.Parameters) < maxParameters && p.Is(nsTubes, "parameter") {
			t.Parameters = append(t.Parameters, Parameter{p.Attr("name"), p.Attr("type"), p.Text()})
		}
	}
	return t, true
}

// onlyTubes reports whether a message with a list of tubes says nothing else.
func onlyTubes(st *stanza.Element) bool {
	return !slices.ContainsFunc(st.Nodes, func(n stanza.Node) bool {
		return n.Element != nil && !n.Element.Is(nsTubes, "tubes")
	})
}

func (t Tube) equal(o Tube) bool {
	return t.ID == o.ID && t.Type == o.Type && t.Service == o.Service && t.Stream == o.Stream &&
		t.Initiator == o.Initiator && t.BusName == o.BusName && slices.Equal(t.Parameters, o.Parameters)
}

// ownTubes are the tubes of ours in one room, each with a stream.
type ownTubes struct {
	list []Tube
	last rmulticast.StreamID // given
}

// open adds a tube and gives it a stream: 1, 2, 3 … and 1 again after 65535,
// without those that are in use.
func (o *ownTubes) open(t Tube) (Tube, error) {
	if len(o.list) >= maxTubes {
		return t, ErrTooMany
	}
	for {
		if o.last++; o.last == 0 {
			o.last = 1
		}
		if !o.has(o.last) {
			break
		}
	}
	t.Stream = o.last
	o.list = append(o.list, t)
	return t, nil
}

func (o *ownTubes) has(id rmulticast.StreamID) bool {
	return slices.ContainsFunc(o.list, func(t Tube) bool { return t.Stream == id })
}

// close releases a stream; false: there is none.
func (o *ownTubes) close(id rmulticast.StreamID) bool {
	n := len(o.list)
	o.list = slices.DeleteFunc(o.list, func(t Tube) bool { return t.Stream == id })
	return len(o.list) < n
}
