package xmppc2s

import (
	"log/slog"
	"strconv"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

const (
	// avatarPace is the least time between two questions about pictures: the
	// session is there for messages.
	avatarPace = 500 * time.Millisecond
	// avatarWait is how long an answer may take: servers hold a client back that
	// has said much, and the picture is in between.
	avatarWait = time.Minute
	// avatarSettle is how long what somebody says of a picture has to stand: the
	// two ways of saying it come one after the other.
	avatarSettle = time.Second
)

// An avatarDesk gets the contacts' pictures and publishes our own. It is pure
// but for its store, outlives sessions, and belongs to the teller's goroutine.
//
// It asks one question at a time. Pictures come by XEP-0084 (PEP) where the
// contact uses that, else by XEP-0153 (vCard); they are the same if their SHA-1
// is, and one that is in the store is not asked for.
type avatarDesk struct {
	own      jid.JID // bare
	store    avatarStore
	log      *slog.Logger
	contacts map[string]*contactAvatar // by bare address
	queue    []*contactAvatar          // those to be asked for, in order
	mine     ownAvatar

	ids     uint64
	asked   *avatarQuery // nil: none is open
	askedAt time.Time
	out     avatarOutput

	touched bool      // there was an input
	due     time.Time // of what waits; zero: nothing does
}

// An avatarStore keeps pictures by their SHA-1; *iconcache.Cache does.
type avatarStore interface {
	Get(hash string, now time.Time) []byte
	Put(data []byte, now time.Time) (hash string)
}

// An avatarQuery is an open question.
type avatarQuery struct {
	id     string
	of     jid.JID // who answers, bare
	until  time.Time
	answer func(now time.Time, iq *stanza.Element) // nil: none came
}

// An avatarOutput is what is to be done, in this order.
type avatarOutput struct {
	send   []*stanza.Element
	photo  *photoHash // for our presence
	events []Event

	questions, writes uint64 // contacts' pictures asked for; our own sent, in parts
}

func newAvatarDesk(own jid.JID, contacts []jid.JID, store avatarStore, log *slog.Logger) *avatarDesk {
	d := &avatarDesk{own: own.Bare(), store: store, log: log, contacts: make(map[string]*contactAvatar)}
	for _, j := range contacts {
		d.contacts[j.Bare().String()] = &contactAvatar{jid: j.Bare()}
	}
	return d
}

// fresh begins a session: no answer to what was asked in the one before will come.
func (d *avatarDesk) fresh(now time.Time) {
	d.asked, d.queue, d.touched = nil, nil, true
	for _, c := range d.contacts {
		if c.want != c.shown {
			c.tries, c.noPEP = 0, false
			c.wait(now.Add(avatarSettle))
		}
	}
	d.mine.fresh(now)
}

// advance does what is due. It is called after every stanza, and mostly has
// nothing to do.
func (d *avatarDesk) advance(now time.Time) {
	if !d.touched && (d.due.IsZero() || now.Before(d.due)) {
		return
	}
	d.touched = false
	if q := d.asked; q != nil && !now.Before(q.until) {
		d.asked = nil
		q.answer(now, nil)
	}
	d.lookUp(now)
	for d.asked == nil && !now.Before(d.free()) && (d.publish(now) || d.askNext(now)) {
	}
	d.due = d.next()
}

// nextTimeout is when advance has something to do; zero: never.
func (d *avatarDesk) nextTimeout() time.Time { return d.due }

// free is when the next question may be asked.
func (d *avatarDesk) free() time.Time { return d.askedAt.Add(avatarPace) }

// next is when advance has something to do after this one.
func (d *avatarDesk) next() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, c := range d.contacts {
		sooner(c.at)
	}
	switch {
	case d.asked != nil:
		sooner(d.asked.until)
	case len(d.queue) > 0 || d.mine.job != nil:
		sooner(d.free())
	case d.mine.todo && d.mine.at.Before(d.free()):
		sooner(d.free())
	case d.mine.todo:
		sooner(d.mine.at)
	}
	return at
}

func (d *avatarDesk) takeOutput() avatarOutput {
	out := d.out
	d.out = avatarOutput{}
	return out
}

// ask asks a question, when no other is open. Without to it is our own
// account that answers.
func (d *avatarDesk) ask(now time.Time, typ string, to jid.JID, payload *stanza.Element, answer func(time.Time, *stanza.Element)) {
	d.ids++
	q := &avatarQuery{id: "avatar-" + strconv.FormatUint(d.ids, 10), of: to, until: now.Add(avatarWait), answer: answer}
	if to.Equal(jid.JID{}) {
		q.of = d.own
	}
	d.asked, d.askedAt = q, now
	d.out.send = append(d.out.send, stanza.New(stanza.NSClient, "iq", stanza.Attr{Name: "type", Value: typ},
		stanza.Attr{Name: "id", Value: q.id}, stanza.Attr{Name: "to", Value: to.String()}, payload))
}

// answer takes a result or an error. It reports whether that is for us.
func (d *avatarDesk) answer(now time.Time, iq *stanza.Element) bool {
	q := d.asked
	if q == nil || iq.Attr("id") != q.id {
		return false
	}
	from, err := jid.Parse(iq.Attr("from"))
	if err != nil || !from.Bare().Equal(q.of) {
		return false // anybody can guess an id
	}
	d.asked, d.touched = nil, true
	q.answer(now, iq)
	return true
}
