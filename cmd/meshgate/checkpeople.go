package main

import (
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
)

// checkContacts checks the contacts, and gives those without a name the local
// part of their address.
func (c *config) checkContacts() {
	names := map[string]int{strings.ToLower(c.Concierge.Name): c.line("concierge.name")}
	jids := map[string]int{}
	for i := range c.Contacts {
		ct, at := &c.Contacts[i], fmt.Sprintf("contacts[%d]", i)
		if c.faulty(at) {
			continue
		}
		j, ok := c.contactJID(at, ct.JID)
		if !ok {
			continue
		}
		if first, twice := jids[j.String()]; twice {
			c.wrong(at+".jid", "%s is a contact already, in line %d", j, first)
			continue
		}
		jids[j.String()] = c.line(at + ".jid")
		if ct.Name == "" {
			ct.Name = j.Localpart()
		}
		if !c.checkName(at+".name", ct.Name) {
			continue
		}
		key := strings.ToLower(ct.Name)
		if first, twice := names[key]; twice {
			c.wrong(at+".name", "the name %q on the LAN is taken by %s; give this contact another name", ct.Name, c.holder(first))
			continue
		}
		names[key] = c.line(at + ".name")
	}
	if len(c.Contacts) == 0 && !c.faulty("contacts") {
		c.doubt("contacts", "there are none: nobody on the LAN will see anybody of the network")
	}
}

// holder says who has a name: the concierge, or the contact in that line.
func (c *config) holder(line int) string {
	if line == c.line("concierge.name") {
		return "the gateway itself (concierge.name)"
	}
	return fmt.Sprintf("the contact in line %d", line)
}

func (c *config) contactJID(at, s string) (jid.JID, bool) {
	path := at + ".jid"
	if s == "" {
		if !c.given(path) {
			c.wrong(path, "is missing; write the contact's address, as in bob@example.org")
		}
		return jid.JID{}, false
	}
	j, err := parseAddress(s)
	own, ownErr := jid.Parse(c.Account.JID)
	switch {
	case err != nil:
		c.wrong(path, "%v", err)
	case j.Resourcepart() != "":
		c.wrong(path, "%s is one device of a person; write %s", j, j.Bare())
	case ownErr == nil && j.Equal(own.Bare()):
		c.wrong(path, "%s is the gateway's own account; it cannot be its own contact", j)
	default:
		return j, true
	}
	return jid.JID{}, false
}

// checkPeers checks who on the LAN is let in, and to whom.
func (c *config) checkPeers() {
	seen := map[string]bool{}
	for i, p := range c.Peers {
		at := fmt.Sprintf("peers[%d]", i)
		c.checkPattern(at, p)
		if p != "" && seen[p] {
			c.doubt(at, "%q is in the list twice", p)
		}
		seen[p] = true
	}
	if len(c.Peers) == 0 && !c.faulty("peers") {
		c.doubt("peers", `nobody on the LAN may use the gateway; list who may, as in "bob@laptop" or "*@frontdesk"`)
	}
	for i, r := range c.PeerRules {
		c.checkRule(fmt.Sprintf("peer_contacts[%d]", i), r)
	}
}

// checkPattern checks a pattern of presence names.
func (c *config) checkPattern(path, p string) {
	switch {
	case p == "": // the decoder has said so
	case len(p) > maxLabel:
		c.wrong(path, "has %d bytes; a presence name has at most %d", len(p), maxLabel)
	case !strings.ContainsAny(p, "@*"):
		c.doubt(path, `%q has no "@"; presence names look like bob@laptop, and bob@* is bob on any machine`, p)
	}
}

func (c *config) checkRule(at string, r peerRule) {
	if r.Peer == "" && !c.given(at+".peer") {
		c.wrong(at+".peer", "is missing; write whom this is about, as in bob@laptop")
	}
	c.checkPattern(at+".peer", r.Peer)
	if len(r.Contacts) == 0 {
		c.doubt(at+".contacts", "is empty: nobody may be written to by %s", r.Peer)
	}
	for i, s := range r.Contacts {
		path := fmt.Sprintf("%s.contacts[%d]", at, i)
		if j, err := parseAddress(s); err != nil {
			if s != "" {
				c.wrong(path, "%v", err)
			}
		} else if !c.hasContact(j) {
			c.wrong(path, "%s is not in the list of contacts", j)
		}
	}
}

func (c *config) hasContact(j jid.JID) bool {
	for _, ct := range c.Contacts {
		if k, err := jid.Parse(ct.JID); err == nil && k.Equal(j) {
			return true
		}
	}
	return false
}
