package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"meshgate/linklocal/mdns"
)

// maxLabel is the most bytes that a presence name may have.
//
// XEP-0174 §3 (DNS Records); RFC 1035 §2.3.4
const maxLabel = 63

// maxSuffix is kept free in a presence name for the digits that tell it from
// another of that name (LL-05).
const maxSuffix = 4

// check goes through what the shape alone cannot say.
func (c *config) check() {
	c.checkAccount()
	c.checkServer()
	c.checkCAFile()
	c.checkAvatar()
	for i, p := range c.Account.Pins {
		if _, err := parsePin(p); err != nil {
			c.wrong(fmt.Sprintf("account.pins[%d]", i), "%v", err)
		}
	}
	c.checkLAN()
	c.checkLANTLS()
	c.checkContacts()
	c.checkPeers()
	c.checkRooms()
	c.checkStreams()
	c.checkControl()
	c.checkState()
}

func (c *config) checkAccount() {
	const path = "account.jid"
	switch _, err := parseAddress(c.Account.JID); {
	case c.Account.JID == "" && !c.given(path):
		c.wrong(path, "is missing; write the address of the gateway's own account, as in gateway@example.org")
	case c.Account.JID != "" && err != nil:
		c.wrong(path, "%v", err)
	}
	c.checkSecret()
}

func (c *config) checkServer() {
	const path = "account.server"
	a := c.Account
	hostname := ""
	if a.Server != "" {
		var err error
		if hostname, _, err = parseServer(a.Server); err != nil {
			c.wrong(path, "%v", err)
			return
		}
	}
	if a.TLS == "none" && !isLoopback(hostname) {
		c.wrong("account.tls", "none is for tests with a server on this machine only (account.server: 127.0.0.1, ::1 or localhost); use starttls or direct")
	}
}

func (c *config) checkCAFile() {
	if _, err := c.rootCAs(); err != nil {
		c.wrong("account.ca_file", "%v", err)
	}
}

func (c *config) checkLAN() {
	if n := len(c.LAN.Interfaces); n > mdns.MaxLinks {
		c.wrong("lan.interfaces", "has %d entries; %d is the most", n, mdns.MaxLinks)
	}
	if m := c.LAN.Machine; m != "" && m != asMachine(m) {
		c.wrong("lan.machine", "is %q; it can have the letters a to z, digits and hyphens, as in %q", m, asMachine(m))
	}
	// The bridge marks its own words with [name], and contacts address peers as @name.
	if name := c.Concierge.Name; strings.ContainsAny(name, `[]\.`) {
		c.wrong("concierge.name", `is %q; it must be without brackets, backslashes and dots`, name)
		return
	}
	c.checkName("concierge.name", c.Concierge.Name)
}

// machine is the name of this machine on the LAN.
func (c *config) machine() string {
	if c.LAN.Machine != "" {
		return c.LAN.Machine
	}
	name, err := c.host.name()
	if err != nil {
		return "gateway"
	}
	first, _, _ := strings.Cut(name, ".")
	return asMachine(first)
}

// checkName checks the user part of a presence name.
func (c *config) checkName(path, name string) bool {
	most := maxLabel - maxSuffix - len("@") - len(c.machine())
	switch {
	case name == "":
		return false
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
		c.wrong(path, "is %q; it must be one line of text", name)
	case strings.Contains(name, "@"):
		c.wrong(path, `is %q; leave out the "@": the machine's name is added by itself`, name)
	case len(name) > most:
		c.wrong(path, "has %d bytes; with @%s behind it, %d is the most", len(name), c.machine(), most)
	default:
		if strings.ContainsAny(name, `.\`) {
			c.doubt(path, `%q has a dot or a backslash; Pidgin shows no picture for such a name`, name)
		}
		return true
	}
	return false
}
