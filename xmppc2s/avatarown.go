package xmppc2s

import (
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/iconcache"
	"meshgate/internal/stanza"
)

const (
	// avatarInterval is the least time between two publications of our picture.
	//
	// "Within a given session, a client MUST NOT attempt to upload a given avatar
	// image more than once." XEP-0153 §4.1
	avatarInterval = time.Minute
	// ownBytes and ownSide bound it. XEP-0153 §4.3 wants 8 kB, which is too little
	// for a photo in PNG, and PNG is what XEP-0084 §4.2 requires; the side is
	// XEP-0153's.
	ownBytes = 24 << 10
	ownSide  = 96
)

// ownRetries are the pauses behind publications that went wrong, the last one
// for all further ones.
var ownRetries = [...]time.Duration{time.Minute, 10 * time.Minute, time.Hour}

func retryPause(n int) time.Duration { return ownRetries[min(n, len(ownRetries)-1)] }

// An ownPicture is what we publish; without hash: none.
type ownPicture struct {
	data          []byte
	hash, mime    string
	width, height int
}

// A photoHash is what our presence says of the picture in our vCard.
type photoHash struct {
	known bool   // false: nothing
	hash  string // "": there is none
}

// An ownAvatar is the publication of our picture.
type ownAvatar struct {
	set    bool // there is something to publish at all
	want   ownPicture
	todo   bool      // want may not be what the server has
	at     time.Time // when to begin
	wrote  time.Time // when something was last sent
	tries  int
	broken int        // sessions in a row that ended in the midst of a write
	job    *avatarJob // under way
	warned bool       // of a server that cannot keep pictures
}

// An avatarJob brings one picture to the server, in the order of the methods
// below. It compares before it writes: after a restart nothing is sent again.
type avatarJob struct {
	d        *avatarDesk
	pic      ownPicture
	step     func(now time.Time)
	converts bool // the server puts it into the vCard and the presence itself
	kept     bool // somewhere
	writing  bool // a write has no answer yet
}

// setOwn has a picture published.
func (d *avatarDesk) setOwn(now time.Time, pic ownPicture) {
	m := &d.mine
	if m.set && m.want.hash == pic.hash {
		return
	}
	m.set, m.want, m.todo, m.tries, m.broken, m.at = true, pic, true, 0, 0, now
	d.touched = true
	m.hold()
}

// hold puts the beginning off until the interval is over.
func (m *ownAvatar) hold() {
	if soonest := m.wrote.Add(avatarInterval); !m.wrote.IsZero() && m.at.Before(soonest) {
		m.at = soonest
	}
}

// fresh has the picture looked at again in a new session: somebody else may
// have changed it. A write that was under way may be why there is a new one:
// servers end the stream at a stanza that is too large for them.
func (m *ownAvatar) fresh(now time.Time) {
	at := now.Add(avatarSettle)
	if m.job != nil && m.job.writing {
		m.at = now.Add(retryPause(m.broken))
		m.broken++
	}
	if m.broken == 0 || m.at.Before(at) {
		m.at = at
	}
	m.job, m.todo, m.tries = nil, m.set, 0
}

// publish goes on with the publication, and reports whether there was
// anything to do.
func (d *avatarDesk) publish(now time.Time) bool {
	m := &d.mine
	if m.job == nil {
		if !m.todo || now.Before(m.at) {
			return false
		}
		m.job = &avatarJob{d: d, pic: m.want}
		m.job.step = m.job.discover
	}
	m.job.step(now)
	return true
}

// ask asks our own server; then is the next step after a result, or after an
// error that says that this cannot be had. No answer, and errors that may
// pass, end the job for now.
func (j *avatarJob) ask(now time.Time, typ string, to jid.JID, payload *stanza.Element, then func(now time.Time, iq *stanza.Element)) {
	if j.writing = typ == "set"; j.writing {
		j.d.out.writes++
		j.d.mine.wrote = now
	}
	j.d.ask(now, typ, to, payload, func(now time.Time, iq *stanza.Element) {
		if j.d.mine.job != j {
			return
		}
		j.writing = false
		if iq == nil || iq.Attr("type") == "error" && stanza.ParseError(iq).Type == "wait" {
			j.fail(now)
			return
		}
		then(now, iq)
	})
}

// discover finds out what the server does for us.
func (j *avatarJob) discover(now time.Time) {
	j.ask(now, "get", j.d.own, stanza.New(stanza.NSDisco, "query"), func(now time.Time, iq *stanza.Element) {
		pep := false
		for c := range iq.Child(stanza.NSDisco, "query").Children() {
			pep = pep || c.Is(stanza.NSDisco, "identity") && c.Attr("category") == "pubsub" && c.Attr("type") == "pep"
			j.converts = j.converts || c.Attr("var") == stanza.NSPEPCnv
		}
		j.step = j.readVCard
		if pep {
			j.step = j.readPEP
		}
	})
}

// readPEP asks for what is published.
func (j *avatarJob) readPEP(now time.Time) {
	j.ask(now, "get", jid.JID{}, itemsRequest(stanza.NSAvMeta, ""), func(now time.Time, iq *stanza.Element) {
		item := itemOf(iq, stanza.NSAvMeta)
		has := avatarHash(item.Child(stanza.NSAvMeta, "metadata"))
		switch {
		case iq.Attr("type") == "error" && stanza.ParseError(iq).Condition != stanza.ItemNotFound:
			j.step = j.readVCard
		case has == j.pic.hash:
			j.inPEP(now)
		case j.pic.hash == "":
			j.step = j.writeMetadata
		default:
			j.step = j.writeData
		}
	})
}

// "Before updating the avatar metadata node, the publisher MUST make sure that
// the avatar data is available at the data node". XEP-0084 §3.1
func (j *avatarJob) writeData(now time.Time) {
	payload := publication(stanza.NSAvData, j.pic.hash, avatarData(j.pic.data))
	j.ask(now, "set", jid.JID{}, payload, func(now time.Time, iq *stanza.Element) {
		if j.step = j.readVCard; iq.Attr("type") == "result" {
			j.step = j.writeMetadata
		}
	})
}

func (j *avatarJob) writeMetadata(now time.Time) {
	payload := publication(stanza.NSAvMeta, j.pic.hash, avatarMetadata(j.pic))
	j.ask(now, "set", jid.JID{}, payload, func(now time.Time, iq *stanza.Element) {
		if j.step = j.readVCard; iq.Attr("type") == "result" {
			j.inPEP(now)
		}
	})
}

// inPEP: a server that converts has nothing left for us to do. XEP-0398
func (j *avatarJob) inPEP(now time.Time) {
	j.kept = true
	if j.step = j.readVCard; j.converts {
		j.finish(now)
	}
}

// readVCard asks for our vCard: what else is in it is not ours to change.
func (j *avatarJob) readVCard(now time.Time) {
	j.ask(now, "get", jid.JID{}, stanza.New(stanza.NSVCard, "vCard"), func(now time.Time, iq *stanza.Element) {
		vcard := iq.Child(stanza.NSVCard, "vCard")
		if iq.Attr("type") == "error" && stanza.ParseError(iq).Condition != stanza.ItemNotFound {
			j.finish(now)
			return
		}
		has := ""
		if photo := photoOf(vcard); photo != nil {
			has = iconcache.Hash(photo)
		}
		if has == j.pic.hash {
			j.inVCard(now)
			return
		}
		j.step = func(now time.Time) { j.writeVCard(now, vcard) }
	})
}

func (j *avatarJob) writeVCard(now time.Time, vcard *stanza.Element) {
	payload := withPhoto(vcard, j.pic.mime, j.pic.data)
	j.ask(now, "set", jid.JID{}, payload, func(now time.Time, iq *stanza.Element) {
		if iq.Attr("type") != "result" {
			j.finish(now)
			return
		}
		j.inVCard(now)
	})
}

// inVCard has our presence say so. XEP-0153 §3.1
func (j *avatarJob) inVCard(now time.Time) {
	j.kept = true
	j.d.out.photo = &photoHash{known: true, hash: j.pic.hash}
	j.finish(now)
}

func (j *avatarJob) finish(now time.Time) {
	m := &j.d.mine
	if !j.kept && !m.warned {
		m.warned = true
		j.d.log.Warn("the server keeps no picture of the account: it has neither PEP nor vCards for us")
	}
	m.job, m.tries, m.broken = nil, 0, 0
	if m.todo = m.want.hash != j.pic.hash; m.todo {
		m.hold()
	}
}

// fail has everything tried again later.
func (j *avatarJob) fail(now time.Time) {
	m := &j.d.mine
	m.at = now.Add(retryPause(m.tries))
	m.job = nil
	m.tries++
}
