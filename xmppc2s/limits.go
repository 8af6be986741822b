package xmppc2s

import (
	"context"
	"encoding/xml"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// What a server may say of its limits (XEP-0478) lies between these.
//
// A maximum below "10000 bytes" no server may have (RFC 6120 §13.12), and one
// that had would take nothing we say. Without a word it is what both servers
// come with (COMPAT Prosody 0.12: its default; COMPAT ejabberd 23.01: its
// example). Where it is less a larger stanza ends the stream, and the sender is
// told when that has been seen often enough.
const (
	minMaxStanza     = 10000
	defaultMaxStanza = 256 << 10
	maxMaxStanza     = 1 << 30
	minIdle          = 10 * time.Second
	maxIdle          = 24 * time.Hour
)

// limits reads XEP-0478; nothing is negotiated. What is said behind the
// authentication takes the place of what was said before.
func (n *negotiation) limits() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: stanza.NSLimits, Local: "limits"},
		Parse: func(_ context.Context, d *xml.Decoder, e *xml.StartElement) (bool, any, error) {
			el, err := stanza.Decode(d, e.Copy(), n.cfg.Limits)
			if err != nil {
				return false, nil, err
			}
			n.link.limits = parseLimits(el)
			return false, nil, nil
		},
	}
}

// parseLimits takes what makes no sense for unsaid.
func parseLimits(el *stanza.Element) sm.Limits {
	number := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(el.Child(stanza.NSLimits, name).Text()), 10, 64)
		return n, err == nil && n > 0
	}
	var l sm.Limits
	if n, ok := number("max-bytes"); ok {
		l.MaxStanza = int(min(max(n, minMaxStanza), maxMaxStanza))
	}
	if n, ok := number("idle-seconds"); ok {
		l.Idle = max(time.Duration(min(n, int64(maxIdle/time.Second)))*time.Second, minIdle)
	}
	return l
}

// limits are what the engine has to respect towards this server.
func (c *Config) limits(k *link) sm.Limits {
	l := k.limits
	orDefault(&l.MaxStanza, defaultMaxStanza)
	l.Window = c.Window
	if l.Window == 0 && k.prosody {
		l.Window = prosodyWindow
	}
	return l
}
