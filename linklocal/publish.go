package linklocal

// PublishKeys says what of a contact's presence may be published: the TXT
// keys, and the icon that goes with one of them. None at all is legal.
//
// "It is OPTIONAL to include any of these TXT keys". XEP-0174 v0.9 (TXT Records)
// "A client MUST allow a user to disable publication of this personal
// information". XEP-0174 v0.9 (Security Considerations, Private Information)
type PublishKeys struct {
	First, Last, Nick, Email, JID bool // personal: 1st, last, nick, email, jid
	Status, Msg                   bool
	Icon                          bool // phsh, and the picture itself
	VC                            bool
	Port                          bool // port.p2pj
	Caps                          bool // node, ver, hash and ext
	TXTVers                       bool
}

// DefaultKeys is everything but what is personal.
func DefaultKeys() PublishKeys {
	return PublishKeys{Status: true, Msg: true, Icon: true, VC: true, Port: true, Caps: true, TXTVers: true}
}

// keysOf is what may be published of c.
func (c *Config) keysOf(ct *Contact) PublishKeys {
	switch {
	case ct.Publish != nil:
		return *ct.Publish
	case c.Publish != nil:
		return *c.Publish
	}
	return DefaultKeys()
}

// allow is p without what may not be published.
func (k PublishKeys) allow(p Presence) Presence {
	keep := func(allowed bool, fields ...*string) {
		for _, s := range fields {
			if !allowed {
				*s = ""
			}
		}
	}
	keep(k.First, &p.First)
	keep(k.Last, &p.Last)
	keep(k.Nick, &p.Nick)
	keep(k.Email, &p.Email)
	keep(k.JID, &p.JID)
	keep(k.Status, (*string)(&p.Status))
	keep(k.Msg, &p.Msg)
	keep(k.Icon, &p.PHSH)
	keep(k.VC, &p.VC)
	keep(k.Caps, &p.Node, &p.Ver, &p.Hash, &p.Ext)
	if !k.Port {
		p.Port = 0
	}
	return p
}

// text is the TXT record that says p as far as it is allowed.
//
// "an empty TXT record containing zero strings is not allowed": it has one
// empty string. RFC 6763 §6.1
func (k PublishKeys) text(p Presence) []string {
	text := AppendTXT(nil, k.allow(p))
	if !k.TXTVers {
		text = text[1:]
	}
	if len(text) == 0 {
		return []string{""}
	}
	return text
}
