package bridge

import (
	"slices"
	"time"

	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// An AvatarPolicy says what the account's picture is.
type AvatarPolicy uint8

const (
	// AvatarOff leaves the account without one of ours.
	AvatarOff AvatarPolicy = iota
	// AvatarPeers shows the people on the LAN: those whom all contacts may
	// know of and who have a picture.
	AvatarPeers
	// AvatarFixed is always the same one.
	AvatarFixed
)

// maxFaces is how many peers are in one picture.
const maxFaces = 4

// noteAvatar says that the account's picture is one that we have set.
const noteAvatar = "the avatar is ours"

// A portrait keeps the account's picture at what it should be. All contacts
// load a new one, so it follows the coming and going only from afar.
type portrait struct {
	settle, damp time.Duration
	faces        []*linklocal.Icon // of what it is made
	ours         bool              // the account has a picture that we have set, now or before a restart
	due          time.Time         // when what is wanted and different is set; zero: it is not different
	notTill      time.Time         // no change before
}

// update notes what the picture should be made of, and returns the command
// for that once it is due.
func (p *portrait) update(now time.Time, want []*linklocal.Icon) action {
	if slices.EqualFunc(p.faces, want, sameIcon) && p.ours == (len(want) > 0) {
		p.due = time.Time{}
		return nil
	}
	if p.due.IsZero() {
		p.due = later(now.Add(p.settle), p.notTill)
	}
	if now.Before(p.due) {
		return nil
	}
	p.faces, p.ours = want, len(want) > 0
	p.due, p.notTill = time.Time{}, now.Add(p.damp)
	return setAvatar{want}
}

// faces are what the account's picture should be made of.
func (e *engine) faces() []*linklocal.Icon {
	switch e.cfg.Avatar {
	case AvatarFixed:
		return []*linklocal.Icon{e.cfg.AvatarImage}
	case AvatarPeers:
		return e.peers.faces(e.policy.public, maxFaces)
	}
	return nil
}

// pose keeps the portrait up to date.
func (e *engine) pose(now time.Time) {
	a := e.portrait.update(now, e.faces())
	if a == nil {
		return
	}
	e.emit(a)
	if e.portrait.ours {
		e.emit(keepNote{noteAvatar})
	} else {
		e.emit(dropNote{noteAvatar})
	}
}

// contactAvatar notes a contact's picture, which its mirror shows.
func (e *engine) contactAvatar(ev xmppc2s.ContactAvatar) {
	c := e.mirrors.byBare[ev.JID.Bare().String()]
	if c == nil {
		return
	}
	c.icon = nil
	if ev.Avatar != nil {
		c.icon = &linklocal.Icon{Data: ev.Avatar.Data, Type: ev.Avatar.Type}
	}
	e.changed = true
}

func sameIcon(a, b *linklocal.Icon) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || a.Type == b.Type && slices.Equal(a.Data, b.Data)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
