package xmppc2s

import (
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// A Room is one to be in (XEP-0045), with what has been missed there.
type Room struct {
	JID jid.JID // bare
	// Nick (default "meshgate") is ours. If another has it, it is Nick2, Nick3, … and Nick again as
	// soon as it is free.
	Nick     string
	Password string
	Status   string // of our presence in the room

	// What was said since a line is told behind RoomEntered: of an archive After
	// is the id of that line (RoomMessage.ID), and where there is none, or it has
	// been forgotten there, Since is its time, by and by that of the last line
	// that was done. If neither is known nothing of before is told.
	After string
	Since time.Time
	// Lines (default 100, at most 1000) is how many of them are told, the newest;
	// Age, if not 0, how old they may be.
	Lines int
	Age   time.Duration
}

const (
	defaultRoomLines = 100
	maxRoomLines     = 1000
	// maxRooms bounds how many we are in.
	maxRooms = 500
)

// A roomOrder is what is to be done about a room, the newest of each kind.
type roomOrder struct {
	enter  *Room
	leave  bool
	status *string
}

// roomOrders are on their way to the teller. They are safe from any goroutine.
type roomOrders struct {
	mu     sync.Mutex
	byRoom map[string]roomOrder // by bare address
	wake   chan struct{}
}

func newRoomOrders() *roomOrders { return &roomOrders{wake: make(chan struct{}, 1)} }

func (o *roomOrders) change(room jid.JID, f func(*roomOrder)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byRoom == nil {
		o.byRoom = make(map[string]roomOrder)
	}
	key := room.Bare().String()
	order := o.byRoom[key]
	f(&order)
	o.byRoom[key] = order
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *roomOrders) take() map[string]roomOrder {
	o.mu.Lock()
	defer o.mu.Unlock()
	orders := o.byRoom
	o.byRoom = nil
	return orders
}

// EnterRoom has the client be in a room, over all sessions, until LeaveRoom.
// For a room that it is in already it changes the nick, password, status and
// limits; After and Since count for one that is entered anew. A room that is
// not there is made, with the server's default configuration.
//
// It never blocks and may be called at any time; before Run, also what the
// server sends first goes where it belongs. At most 500 rooms are entered.
func (c *Client) EnterRoom(r Room) {
	r.JID, r.Nick, r.Status = r.JID.Bare(), stanza.Clean(r.Nick), stanza.Clean(r.Status)
	c.roomOrders.change(r.JID, func(o *roomOrder) { *o = roomOrder{enter: &r} })
}

// LeaveRoom has the client leave a room. What comes from it later nobody is
// told. It never blocks.
func (c *Client) LeaveRoom(room jid.JID) {
	c.roomOrders.change(room, func(o *roomOrder) { *o = roomOrder{leave: true} })
}

// SetRoomStatus sets the text of our presence in a room. Only the newest
// counts, and it is sent at most every few seconds. It never blocks.
func (c *Client) SetRoomStatus(room jid.JID, status string) {
	status = stanza.Clean(status)
	c.roomOrders.change(room, func(o *roomOrder) { o.status = &status })
}
