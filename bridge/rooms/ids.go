package rooms

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"

	"meshgate/bridge/rewrite"
	"meshgate/clique/rmulticast"
	"meshgate/xmppc2s"
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// A lineID is what a LAN line is called in the MUC: the id of the message and its
// origin-id. All gateways make the same of the same line, in every run. Nobody
// can guess the next one: of a member the SenderID and where its numbers begin
// are random.
type lineID string

// lineIDLen is the length of one.
var lineIDLen = encoding.EncodedLen(len(mark{}))

func newLineID(room string, from rmulticast.SenderID, number rmulticast.PacketID) lineID {
	b := append([]byte("line\x00"), room...)
	b = binary.BigEndian.AppendUint32(append(b, 0), uint32(from))
	b = binary.BigEndian.AppendUint32(b, uint32(number))
	sum := sha256.Sum256(b)
	return lineID(encoding.EncodeToString(sum[:16]))
}

// A mucKey is what a line of the MUC is called, in Clique and over restarts.
type mucKey string

// maxKey bounds what others choose of a key, in bytes.
const maxKey = 128

// newMUCKey is the key of a line: the room's own id, or else a hash of the sender's
// and the words. unsure says that another line may have the same.
func newMUCKey(ev xmppc2s.RoomMessage, c rewrite.Content) (key mucKey, unsure bool) {
	if ev.ID != "" && len(ev.ID) <= maxKey {
		return mucKey(ev.ID), false
	}
	id := ev.OriginID
	if id == "" {
		id = ev.Stanza.Attr("id")
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{"muc", ev.ID, ev.Nick, id, c.Body}, "\x00")))
	return mucKey("h-" + encoding.EncodeToString(sum[:16])), id == "" && ev.ID == ""
}

// A mark is how a line of either direction is remembered that has passed.
type mark [16]byte

func (e *engine) markOf(kind, key string) mark {
	sum := sha256.Sum256([]byte(strings.Join([]string{kind, e.muc, key}, "\x00")))
	return mark(sum[:16])
}

func (e *engine) lineMark(id lineID) mark  { return e.markOf("line", string(id)) }
func (e *engine) heldMark(key mucKey) mark { return e.markOf("held", string(key)) }
