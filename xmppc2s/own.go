package xmppc2s

import (
	"time"

	"meshgate/internal/stanza"
)

// ownPresence is what the account shows of itself.
type ownPresence struct {
	show, status string
	photo        photoHash
}

// presenceInterval is the least time between two of our presences.
const presenceInterval = time.Second

// SetPresence sets what contacts see: show is "", away, chat, dnd or xa. Only
// the newest counts; it is sent at most once a second, and again after each
// fresh bind, but not after a resumption.
func (c *Client) SetPresence(show, status string) {
	c.changeOwn(func(p *ownPresence) { p.show, p.status = legalShow(show), stanza.Clean(status) })
}

// setPhoto sets what our presence says of the picture in our vCard.
func (c *Client) setPhoto(photo photoHash) {
	c.changeOwn(func(p *ownPresence) { p.photo = photo })
}

// changeOwn may be called from any goroutine.
func (c *Client) changeOwn(change func(*ownPresence)) {
	for {
		old := c.own.Load()
		now := *old
		if change(&now); c.own.CompareAndSwap(old, &now) {
			break
		}
	}
	c.wakeLoop()
}

// bytes is the presence stanza.
func (p *ownPresence) bytes(cfg *Config) []byte {
	var show, status *stanza.Element
	if p.show != "" {
		show = stanza.New(stanza.NSClient, "show", stanza.Text(p.show))
	}
	if p.status != "" {
		status = stanza.New(stanza.NSClient, "status", stanza.Text(p.status))
	}
	return stanza.Append(nil, stanza.New(stanza.NSClient, "presence", show, status, cfg.capabilities(), p.photo.element()), stanza.NSClient)
}

// element is what XEP-0153 §4.1 puts into presence, or nil.
func (p photoHash) element() *stanza.Element {
	if !p.known {
		return nil
	}
	return stanza.New(stanza.NSVCardX, "x", stanza.New(stanza.NSVCardX, "photo", stanza.Text(p.hash)))
}

// An ownSender decides when our presence is sent.
type ownSender struct {
	sent ownPresence
	at   time.Time
}

// due says when want is to be sent; zero: it has been.
func (s *ownSender) due(want *ownPresence) time.Time {
	if *want == s.sent {
		return time.Time{}
	}
	return s.at.Add(presenceInterval)
}

func (s *ownSender) note(now time.Time, p *ownPresence) { s.sent, s.at = *p, now }
