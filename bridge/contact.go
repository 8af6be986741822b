package bridge

import (
	"time"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// maxMsg bounds a status text, in bytes: a TXT string has 255 with its key.
const maxMsg = 200

// notCalling says that a mirror is in no audio or video conference, and able
// to none. XEP-0174 §3.1 (TXT Records)
const notCalling = "!"

// A contact is a configured contact and what is known of its presence.
type contact struct {
	Contact
	bare      string
	mirror    mirror
	icon      *linklocal.Icon
	resources map[string]resource
	spokeTill time.Time // until then the contact's own words say that it is there
}

// spokeFor is how long a contact who writes without showing presence has a
// mirror, so that peers can answer.
const spokeFor = 30 * time.Minute

type resource struct {
	show, status string
	priority     int8
}

func newContact(c Contact) *contact {
	bare := c.JID.Bare().String()
	return &contact{
		Contact: c, bare: bare,
		mirror:    mirror{id: linklocal.ContactID(bare), user: c.user(), publish: c.Publish},
		resources: make(map[string]resource),
	}
}

// update takes the presence of one of the contact's resources.
func (c *contact) update(p xmppc2s.ContactPresence, limit int) {
	key := p.JID.Resourcepart()
	switch _, known := c.resources[key]; {
	case !p.Available && key == "":
		clear(c.resources) // the server speaks for all of them
	case !p.Available:
		delete(c.resources, key)
	case known || len(c.resources) < limit:
		c.resources[key] = resource{p.Show, rewrite.Line(p.Status, maxMsg), p.Priority}
	}
	if !c.available() {
		c.spokeTill = time.Time{} // it has said goodbye since
	}
}

func (c *contact) available() bool { return len(c.resources) > 0 }

// best is the resource that stands for the contact: of the highest priority,
// then the most available.
func (c *contact) best() resource {
	var best resource
	bestKey, first := "", true
	for key, r := range c.resources {
		if first || better(r, best) || !better(best, r) && key < bestKey {
			best, bestKey, first = r, key, false
		}
	}
	return best
}

func better(a, b resource) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return openness(a.show) > openness(b.show)
}

func openness(show string) int {
	switch show {
	case "chat":
		return 4
	case "":
		return 3
	case "away":
		return 2
	case "xa":
		return 1
	}
	return 0
}

// presence is the TXT record of the contact's mirror while it is available.
func (c *contact) presence() *linklocal.Presence {
	r := c.best()
	return c.record(rewrite.Status(r.show), r.status)
}

// offline is its TXT record while it is not, or nil.
func (c *contact) offline() *linklocal.Presence {
	if c.Offline == Withdraw {
		return nil
	}
	return c.record(linklocal.DND, "offline")
}

func (c *contact) record(s linklocal.Status, msg string) *linklocal.Presence {
	return &linklocal.Presence{Status: s, Msg: msg, Nick: c.Nick, First: c.First, Last: c.Last, Email: c.Email, JID: c.bare, VC: notCalling}
}

// describe is the contact in the answer to "who", which tells no more than its
// mirror does (LL-17).
func (c *contact) describe(online bool) string {
	switch {
	case !online:
		return c.name() + " (not known)"
	case !c.available():
		return c.name() + " (offline)"
	}
	r, may := c.best(), c.may()
	if !may.Status {
		r.show = ""
	}
	if !may.Msg {
		r.status = ""
	}
	return c.name() + describeStatus(rewrite.Status(r.show), r.status)
}

// describeStatus is a status in brackets, or nothing for a plain available.
func describeStatus(s linklocal.Status, msg string) string {
	word := rewrite.Show(s) // never what a peer made up
	switch {
	case word == "" && msg == "":
		return ""
	case msg == "":
		return " (" + word + ")"
	case word == "":
		return " (" + quote(msg) + ")"
	}
	return " (" + word + ": " + quote(msg) + ")"
}
