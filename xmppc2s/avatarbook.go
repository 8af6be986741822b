package xmppc2s

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/icon"
	"meshgate/internal/iconcache"
	"meshgate/internal/stanza"
)

// maxAvatar is the size of a picture that is asked for, in bytes: with base64
// it has to fit into Config.MaxStanza.
const maxAvatar = 128 << 10

// contactInterval is the least time between two questions for pictures of one
// contact, but for the two ways to ask for the same: whoever changes it all the
// time does not keep us busy.
const contactInterval = 5 * time.Second

// avatarRetries are the pauses behind questions that brought nothing. After
// the last one the picture is given up until there is another one, or another
// session.
var avatarRetries = [...]time.Duration{time.Minute, 30 * time.Minute}

// A contactAvatar is what we know of a contact's picture.
//
//	           another hash                 not in the store       its turn
//	resting ────────────────▶ waiting ─────────────────────▶ queued ───────▶ asked
//	   ▲                       ▲  │ in the store                 ▲  (vCard)     │
//	   │                       │  ▼                              └──────────────┤
//	   └───────────────────────┼──┴─────────────────────────── it came, given up┤
//	                           └─────────────────────────────── nothing came ───┘
type contactAvatar struct {
	jid       jid.JID
	pep, card string // hashes as both ways said last; "": none
	want      string // of the two
	shown     string // what the Handler knows
	state     avatarState
	at        time.Time // when to go on; not zero: waiting
	last      time.Time // when it was last asked for
	tries     int       // for want, that brought nothing
	noPEP     bool      // want is not in the data node
}

type avatarState int

const (
	avatarResting avatarState = iota
	avatarWaiting
	avatarQueued
	avatarAsked
)

func (s avatarState) String() string {
	return [...]string{"resting", "waiting", "queued", "asked"}[s]
}

func (c *contactAvatar) rest() { c.state, c.at = avatarResting, time.Time{} }

// wait goes on then, or as soon after as may be.
func (c *contactAvatar) wait(at time.Time) {
	if soonest := c.last.Add(contactInterval); at.Before(soonest) {
		at = soonest
	}
	c.state, c.at = avatarWaiting, at
}

// presence takes what a contact's presence says of the picture in its vCard. A
// client that says nothing, or is not ready yet, says nothing of it.
//
// "If there is no avatar image to be advertised, the photo element MUST be
// empty". XEP-0153 §4.1
func (d *avatarDesk) presence(now time.Time, el *stanza.Element) {
	c := d.contacts[bareOf(el.Attr("from"))]
	photo := el.Child(stanza.NSVCardX, "x").Child(stanza.NSVCardX, "photo")
	if c == nil || photo == nil || el.Attr("type") != "" {
		return
	}
	hash := strings.ToLower(strings.TrimSpace(photo.Text()))
	if hash == "" || isSHA1(hash) {
		c.card = hash
		d.changed(now, c)
	}
}

// event takes a notification of XEP-0084, or any other: nobody else wants it.
func (d *avatarDesk) event(now time.Time, msg *stanza.Element) {
	c := d.contacts[bareOf(msg.Attr("from"))]
	ev := msg.Child(stanza.NSPubEv, "event")
	if c == nil {
		return
	}
	for ch := range ev.Children() {
		if ch.Attr("node") != stanza.NSAvMeta {
			continue
		}
		switch ch.Name.Local {
		case "items":
			c.pep = ""
			for item := range ch.Children() {
				c.metadata(item.Child(stanza.NSAvMeta, "metadata"))
			}
		case "purge", "delete":
			c.pep = ""
		}
		d.changed(now, c)
	}
}

// metadata takes what a contact says by XEP-0084. If that is that there is no
// picture, what its presence said before does not count any more: a server
// that converts says something else only with the next presence.
func (c *contactAvatar) metadata(m *stanza.Element) {
	c.pep = avatarHash(m)
	if m != nil && m.Child(stanza.NSAvMeta, "info") == nil {
		c.card = ""
	}
}

// isNotification reports whether a message is an event of PEP and nothing that
// anybody has written.
func isNotification(msg *stanza.Element) bool {
	return msg.Child(stanza.NSPubEv, "event") != nil && msg.Child(stanza.NSClient, "body") == nil
}

// avatarHash is the picture that metadata offer: the first that we can show
// and that is in the data node. "": none.
func avatarHash(metadata *stanza.Element) string {
	for info := range metadata.Children() {
		hash := strings.ToLower(info.Attr("id"))
		size, err := strconv.Atoi(info.Attr("bytes"))
		switch {
		case !info.Is(stanza.NSAvMeta, "info"), info.Attr("url") != "", !isSHA1(hash):
		case err == nil && (size < 1 || size > maxAvatar):
		case info.Attr("type") != "" && !icon.Reads(info.Attr("type")):
		default:
			return hash
		}
	}
	return ""
}

// changed has the picture obtained that the contact has now.
func (d *avatarDesk) changed(now time.Time, c *contactAvatar) {
	want := c.pep
	if want == "" {
		want = c.card
	}
	if want == c.want {
		return
	}
	c.want, c.tries, c.noPEP = want, 0, false
	d.touched = true
	switch want {
	case "":
		d.none(c)
	case c.shown:
		c.rest()
	default:
		c.wait(now.Add(avatarSettle))
	}
}

// none ends the search for a picture, and takes an old one away.
func (d *avatarDesk) none(c *contactAvatar) {
	c.rest()
	if c.shown != "" {
		c.shown = ""
		d.out.events = append(d.out.events, ContactAvatar{JID: c.jid})
	}
}

// lookUp shows a contact whose time has come and whose picture is in the store,
// or queues it. It takes one at a time: to make a picture smaller takes some
// milliseconds, and messages wait meanwhile.
func (d *avatarDesk) lookUp(now time.Time) {
	var first *contactAvatar
	for _, c := range d.contacts {
		due := c.state == avatarWaiting && !now.Before(c.at)
		if due && (first == nil || cmp.Or(c.at.Compare(first.at), cmp.Compare(c.jid.String(), first.jid.String())) < 0) {
			first = c
		}
	}
	if first == nil {
		return
	}
	if data := d.store.Get(first.want, now); data == nil || !d.show(first, data) {
		first.at = time.Time{}
		d.enqueue(first)
	}
}

// enqueue puts a contact into the queue, where it may still be for a picture
// that it had before.
func (d *avatarDesk) enqueue(c *contactAvatar) {
	c.state = avatarQueued
	if !slices.Contains(d.queue, c) {
		d.queue = append(d.queue, c)
	}
}

// show tells of a picture, if the bytes are one. A large one is told smaller.
func (d *avatarDesk) show(c *contactAvatar, data []byte) bool {
	data, mime, err := icon.Keep(data)
	if err != nil {
		d.log.Debug("contact's avatar ignored", "contact", c.jid, "err", err)
		return false
	}
	c.shown = c.want
	c.rest()
	d.out.events = append(d.out.events, ContactAvatar{JID: c.jid, Avatar: &Avatar{Data: data, Type: mime}})
	return true
}

// askNext asks for the next picture in the queue, and reports whether there
// was any.
func (d *avatarDesk) askNext(now time.Time) bool {
	if len(d.queue) == 0 {
		return false
	}
	c := d.queue[0]
	d.queue = d.queue[1:]
	if c.state != avatarQueued {
		return true // it has another one now, or none
	}
	hash := c.want
	switch {
	case hash == c.pep && !c.noPEP:
		d.askFor(now, c, itemsRequest(stanza.NSAvData, hash), func(iq *stanza.Element) []byte {
			return decode64(itemOf(iq, stanza.NSAvData).Child(stanza.NSAvData, "data").Text())
		})
	case hash == c.card:
		d.askFor(now, c, stanza.New(stanza.NSVCard, "vCard"), func(iq *stanza.Element) []byte {
			return photoOf(iq.Child(stanza.NSVCard, "vCard"))
		})
	default:
		d.failed(now, c)
	}
	return true
}

func (d *avatarDesk) askFor(now time.Time, c *contactAvatar, payload *stanza.Element, read func(*stanza.Element) []byte) {
	c.state, c.last = avatarAsked, now
	d.out.questions++
	hash := c.want
	d.ask(now, "get", c.jid, payload, func(now time.Time, iq *stanza.Element) {
		var data []byte
		if iq.Attr("type") == "result" {
			data = read(iq)
		}
		d.got(now, c, hash, data)
	})
}

// got takes what was sent for a hash. What does not have the hash is another
// picture.
func (d *avatarDesk) got(now time.Time, c *contactAvatar, hash string, data []byte) {
	ok := len(data) > 0 && iconcache.Hash(data) == hash
	if ok {
		d.store.Put(data, now)
	}
	switch {
	case c.state != avatarAsked || c.want != hash:
		// It has another one by now.
	case !ok && hash == c.pep && !c.noPEP && hash == c.card:
		c.noPEP = true
		d.enqueue(c)
	case !ok:
		d.failed(now, c)
	case !d.show(c, data):
		d.none(c)
	}
}

// failed plans another try.
func (d *avatarDesk) failed(now time.Time, c *contactAvatar) {
	if c.tries >= len(avatarRetries) {
		d.log.Debug("contact's avatar cannot be had", "contact", c.jid)
		d.none(c)
		return
	}
	c.wait(now.Add(avatarRetries[c.tries]))
	c.noPEP = false
	c.tries++
}

// bareOf is the bare address, "" if it is none.
func bareOf(s string) string {
	j, err := jid.Parse(s)
	if err != nil {
		return ""
	}
	return j.Bare().String()
}
