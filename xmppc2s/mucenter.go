package xmppc2s

import (
	"strconv"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// mucHistoryChars bounds the history that a room may send (XEP-0045 §7.2.13).
const mucHistoryChars = 1 << 20

// mucFeatures are what a room says of itself (XEP-0030).
type mucFeatures struct {
	known     bool // it is there
	archive   bool // XEP-0313
	ids       bool // it says the ids of messages, and lets nobody else do so (XEP-0359)
	occupants bool // it says the ids of occupants, and lets nobody else do so (XEP-0421)
	members   bool // nobody else may enter (XEP-0045 §16.3)
}

func parseMUCFeatures(info *stanza.Element) mucFeatures {
	f := mucFeatures{known: true}
	for el := range info.Children() {
		if !el.Is(stanza.NSDisco, "feature") {
			continue
		}
		switch el.Attr("var") {
		case stanza.NSMAM: // "MUST … add … <stanza-id/>", XEP-0313 §5.1.2
			f.archive, f.ids = true, true
		case stanza.NSSID:
			f.ids = true
		case stanza.NSOccup:
			f.occupants = true
		case "muc_membersonly":
			f.members = true
		}
	}
	return f
}

// explore asks what the room is: whether its ids count, and where what was
// missed can be had.
func (r *mucRoom) explore(now time.Time) {
	r.become(mucExploring, time.Time{})
	r.about = mucFeatures{}
	r.asked = r.askInfo(now, r.explored)
}

func (r *mucRoom) askInfo(now time.Time, take func(time.Time, *stanza.Element)) *mucQuestion {
	return r.desk.ask(now, "get", r.key, func(string) *stanza.Element { return stanza.New(stanza.NSDisco, "query") }, take)
}

func (r *mucRoom) explored(now time.Time, iq *stanza.Element) {
	switch {
	case iq == nil:
		r.lose(now, loss{why: RoomUnreachable, text: "the room does not answer"})
		return
	case iq.Attr("type") == "result":
		r.about = parseMUCFeatures(iq.Child(stanza.NSDisco, "query"))
	default:
		switch err := stanza.ParseError(iq); {
		case isRemote(err), err.Type == "wait": // without its ids each line would be another than it was before
			r.lose(now, loss{why: RoomUnreachable, text: err.Error()})
			return
		case r.end == RoomDestroyed && err.Condition == stanza.ItemNotFound: // whoever has destroyed it would wonder
			r.lose(now, loss{why: RoomDestroyed, text: "there is no such room any more"})
			return
		}
	}
	r.nicks.start()
	r.enter(now)
}

// enter sends the presence that enters the room (XEP-0045 §7.2). For one who is
// in it already the room says again who is.
func (r *mucRoom) enter(now time.Time) {
	r.become(mucEntering, now.Add(mucWait))
	r.occupants, r.more, r.again, r.settled = make(map[string]jid.JID), 0, false, false
	r.shown, r.statusAt = r.want.Status, now
	var password *stanza.Element
	if r.want.Password != "" {
		password = stanza.New(stanza.NSMUC, "password", stanza.Text(r.want.Password))
	}
	r.desk.out.send = append(r.desk.out.send, r.ownPresence(r.nicks.now, stanza.New(stanza.NSMUC, "x", password, r.history(now))))
}

// history asks for what was missed, unless there is an archive.
func (r *mucRoom) history(now time.Time) *stanza.Element {
	since := r.oldest(now)
	if r.about.archive || since.IsZero() {
		return stanza.New(stanza.NSMUC, "history", stanza.Attr{Name: "maxstanzas", Value: "0"})
	}
	return stanza.New(stanza.NSMUC, "history",
		stanza.Attr{Name: "since", Value: since.UTC().Format("2006-01-02T15:04:05Z")},
		stanza.Attr{Name: "maxstanzas", Value: strconv.Itoa(r.want.Lines)},
		stanza.Attr{Name: "maxchars", Value: strconv.Itoa(mucHistoryChars)})
}

// oldest is since when something may be missing, by time alone; zero: nothing is.
func (r *mucRoom) oldest(now time.Time) time.Time {
	since := r.mark.row.At
	if since.IsZero() {
		return since
	}
	since = since.Add(-archiveMargin)
	if r.want.Age > 0 {
		since = later(since, now.Add(-r.want.Age))
	}
	return since
}

// isIn: our own presence has come.
func (r *mucRoom) isIn(now time.Time, codes mucCodes) {
	if r.again && r.agains < maxNickTries {
		r.agains++
		r.enter(now)
		return
	}
	r.agains = 0
	first := !r.entered
	r.become(mucIn, time.Time{})
	r.entered, r.since, r.end = true, now, RoomGone
	r.check = mucCheck{at: now.Add(mucIdle)}
	r.desk.log.Info("in the room", "room", r.key, "nick", r.nicks.now, "occupants", len(r.occupants)+r.more, "archive", r.about.archive)
	r.desk.tell(RoomEntered{
		Room: r.jid, Nick: r.nicks.now, Occupants: r.listOccupants(), More: r.more, Archive: r.about.archive, Resumed: r.desk.takeover && first,
		MembersOnly: r.about.members,
	})
	if codes.has(201) {
		r.open(now)
	}
	r.startCatchUp(now)
}

// open makes a room that we have made one for others, with its server's default
// configuration: "an instant room". XEP-0045 §10.1.2
func (r *mucRoom) open(now time.Time) {
	form := stanza.New(stanza.NSForm, "x", stanza.Attr{Name: "type", Value: "submit"})
	r.asked = r.desk.ask(now, "set", r.key, func(string) *stanza.Element { return stanza.New(stanza.NSMUCOwn, "query", form) },
		func(now time.Time, iq *stanza.Element) {
			if iq != nil && iq.Attr("type") == "error" {
				r.desk.log.Warn("the room that was made keeps its lock", "room", r.key, "err", stanza.ParseError(iq))
			}
			r.lookAgain(now)
		})
}

// lookAgain asks what the room is now.
func (r *mucRoom) lookAgain(now time.Time) {
	r.drop(&r.asked)
	r.asked = r.askInfo(now, func(_ time.Time, iq *stanza.Element) {
		r.asked = nil
		if iq != nil && iq.Attr("type") == "result" {
			r.about = parseMUCFeatures(iq.Child(stanza.NSDisco, "query"))
		}
	})
}

func isRemote(err *stanza.Error) bool {
	return err.Condition == "remote-server-not-found" || err.Condition == "remote-server-timeout"
}
