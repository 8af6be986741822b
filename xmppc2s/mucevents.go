package xmppc2s

import (
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// A RoomEvent is an Event of one room (XEP-0045): one that EnterRoom has named,
// or for RoomInvited any. What such a room sends comes as these, in order, and
// never as a Message. Addresses of rooms are bare. Names and words are as the
// room says them: whoever shows them makes them fit to be shown.
type RoomEvent interface {
	Event
	RoomJID() jid.JID
}

type (
	// RoomEntered: we are in the room. A RoomCaughtUp follows.
	RoomEntered struct {
		Room      jid.JID
		Nick      string     // ours: the one that was wanted, or "wanted2", …
		Occupants []Occupant // without us, by nick
		More      int        // occupants beyond Config.MaxOccupants, who are not named
		Archive   bool       // the room has an archive (XEP-0313)
		Resumed   bool       // the process before this one was in it, in the same session

		MembersOnly bool // nobody else may enter
	}
	// An Occupant is who is in a room.
	Occupant struct {
		Nick string
		JID  jid.JID // zero: the room does not say
	}
	// RoomLost: we are not in the room, or could not enter it. It comes again
	// for each attempt that fails.
	RoomLost struct {
		Room        jid.JID
		Why         RoomEnd
		Err         error         // in words for people, with what the room has said
		Retry       time.Duration // until the next attempt
		Fatal       bool          // it is tried seldom: a person has to mend it
		Alternative jid.JID       // of RoomDestroyed: where to go instead; zero: nowhere
	}
	// RoomOccupant: somebody has come, gone, or is called otherwise.
	RoomOccupant struct {
		Room    jid.JID
		Nick    string
		Here    bool
		NewNick string // is the nick now; "": it has not changed
		Why     string // said in leaving, or by whoever put them out; "": nothing
		JID     jid.JID
		Own     bool // it is us: NewNick is our nick now
	}
	// RoomMessage is a message of type groupchat, our own reflected ones too. As
	// with Message, Done must be called exactly once, from any goroutine.
	//
	// One may come a second time, after a loss of the room or the session: then
	// it has the same ID, if the room gives them.
	RoomMessage struct {
		Room     jid.JID
		Nick     string // of who has sent it; "": the room itself
		Stanza   *stanza.Element
		ID       string    // by the room, in its archive if it has one (XEP-0359); "": it gives none
		OriginID string    // by the sender's client (XEP-0359); "": none
		Stamp    time.Time // when it was said (XEP-0203); zero: now
		Own      bool
		Done     func()
	}
	// RoomSubject: the subject of the room; Nick is who has set it, if known.
	RoomSubject struct {
		Room       jid.JID
		Nick, Text string
		Stamp      time.Time // zero: now
	}
	// RoomCaughtUp: all that was missed and may be told has been. What follows
	// is live.
	RoomCaughtUp struct {
		Room jid.JID
		// Start is the last line of the archive if nothing of before was to be told:
		// for Room.After, until a line is done. "": it is empty, or there was more.
		Start string
	}
	// RoomRefused: a message of ours to the room came back.
	RoomRefused struct {
		Room jid.JID
		ID   string
		Err  *stanza.Error
	}
	// RoomDeclined: somebody whom we have invited through the room will not come.
	RoomDeclined struct {
		Room, From jid.JID // both bare
		Reason     string  // "": they do not say
	}
	// RoomInvited: an invitation, through the room (XEP-0045 §7.8.2) or Direct
	// (XEP-0249). As with Message, Done must be called exactly once; ArchiveID,
	// Place and Missed are as there. Anybody can say that somebody invites:
	// From is sure only if Direct. COMPAT Prosody: of a room that hides who is who
	// it is an occupant.
	RoomInvited struct {
		Room             jid.JID
		From             jid.JID // as far as it is known
		Reason, Password string
		Direct           bool
		Stanza           *stanza.Element
		Done             func()

		ArchiveID, Place string
		Missed           bool
	}
)

func (RoomEntered) serverEvent()  {}
func (RoomLost) serverEvent()     {}
func (RoomOccupant) serverEvent() {}
func (RoomMessage) serverEvent()  {}
func (RoomSubject) serverEvent()  {}
func (RoomCaughtUp) serverEvent() {}
func (RoomRefused) serverEvent()  {}
func (RoomDeclined) serverEvent() {}
func (RoomInvited) serverEvent()  {}

func (e RoomEntered) RoomJID() jid.JID  { return e.Room }
func (e RoomLost) RoomJID() jid.JID     { return e.Room }
func (e RoomOccupant) RoomJID() jid.JID { return e.Room }
func (e RoomMessage) RoomJID() jid.JID  { return e.Room }
func (e RoomSubject) RoomJID() jid.JID  { return e.Room }
func (e RoomCaughtUp) RoomJID() jid.JID { return e.Room }
func (e RoomRefused) RoomJID() jid.JID  { return e.Room }
func (e RoomDeclined) RoomJID() jid.JID { return e.Room }
func (e RoomInvited) RoomJID() jid.JID  { return e.Room }

// A RoomEnd is why we are not in a room.
type RoomEnd int

const (
	RoomGone        RoomEnd = iota // the room does not know us any more, and has not said why
	RoomSessionLost                // with our session, which another one follows
	RoomKicked
	RoomBanned
	RoomMembersOnly  // and we are no member
	RoomPassword     // it wants one that we do not have
	RoomDestroyed    // by an owner; it is not entered before there is one again
	RoomShutDown     // with its service
	RoomFull         // of occupants
	RoomNickTaken    // and all those that were tried instead
	RoomNotAllowed   // it is not there, and we may not make it, or may not enter it
	RoomUnreachable  // its server
	RoomRefusedEntry // for another reason
)

func (e RoomEnd) String() string {
	return [...]string{
		"gone", "session lost", "kicked", "banned", "members only", "password", "destroyed", "shut down", "full", "nick taken",
		"not allowed", "unreachable", "refused",
	}[e]
}
