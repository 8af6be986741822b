package bridge

import (
	"time"

	"meshgate/linklocal"
)

// A mirror is one presence name of the gateway's on the mesh, kept at what it
// should be without changing too often.
type mirror struct {
	id      linklocal.ContactID
	user    string
	publish *linklocal.PublishKeys
	shown   *linklocal.Presence // nil: not on the mesh
	icon    *linklocal.Icon     // shown with it
	unsure  bool                // the last command failed: give it again
	notTill time.Time           // no change before
}

// show makes the mirror what is wanted, nil being off the mesh, with a picture.
// It returns the command for that, if one is due now, and when it should be
// called again.
func (m *mirror) show(now time.Time, want *linklocal.Presence, icon *linklocal.Icon, damp time.Duration) (action, time.Time) {
	if !m.unsure && samePresence(m.shown, want) && (want == nil || sameIcon(m.icon, icon)) {
		return nil, time.Time{}
	}
	if now.Before(m.notTill) {
		return nil, m.notTill
	}
	m.shown, m.icon, m.unsure, m.notTill = want, icon, false, now.Add(damp)
	if want == nil {
		return withdraw{m.id}, time.Time{}
	}
	return publish{linklocal.Contact{ID: m.id, User: m.user, Presence: *want, Icon: icon, Publish: m.publish}}, time.Time{}
}

// failed notes that the last command was not carried out.
func (m *mirror) failed(now time.Time, retry time.Duration) {
	m.unsure, m.notTill = true, now.Add(retry)
}

// samePresence compares what mirrors use of a presence.
func samePresence(a, b *linklocal.Presence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Status == b.Status && a.Msg == b.Msg // the rest is the configuration's
}
