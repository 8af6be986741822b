package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/jid"
)

// maxRooms is how many rooms the gateway joins.
const maxRooms = 32

// leastRoomAge is how far back a room is asked, whatever catch_up.age is: what was on its
// way when the connection was lost is found there, or it would be said again.
const leastRoomAge = 10 * time.Minute

// maxNick is the most bytes that we ask a room to call us; more is allowed
// (RFC 7622 §3.4), and nobody could read it.
const maxNick = 63

// checkRooms checks the rooms, and gives those without a nick the concierge's name.
func (c *config) checkRooms() {
	if n := len(c.Rooms); n > maxRooms {
		c.wrong("rooms", "has %d entries; %d is the most", n, maxRooms)
		return
	}
	if len(c.Rooms) > 0 && c.CatchUp.Age < leastRoomAge {
		c.doubt("catch_up.age", "is less than the %d minutes that count in rooms, where the gateway has to see what became of lines that were on their way",
			leastRoomAge/time.Minute)
	}
	names, mucs := map[string]int{}, map[string]int{}
	for i := range c.Rooms {
		r, at := &c.Rooms[i], fmt.Sprintf("rooms[%d]", i)
		if c.faulty(at) {
			continue
		}
		if r.Nick == "" {
			r.Nick = c.Concierge.Name
		}
		if c.checkRoomName(at+".name", r.Name) {
			c.once(names, at+".name", strings.ToLower(r.Name), r.Name)
		}
		if j, ok := c.roomJID(at+".muc", r.MUC); ok {
			c.once(mucs, at+".muc", j.String(), j.String())
		}
		c.checkLine(at+".nick", r.Nick, maxNick)
		c.checkGroup(at, *r)
		for k, p := range r.Peers {
			c.checkPattern(fmt.Sprintf("%s.peers[%d]", at, k), p)
		}
		if _, err := c.roomPassword(*r); err != nil {
			c.wrong(at+".password_file", "%v", err)
		}
	}
}

// once notes where a key of the map stands, and that it stands there twice.
func (c *config) once(seen map[string]int, path, key, text string) {
	if first, twice := seen[key]; twice {
		c.wrong(path, "%q is a room already, in line %d", text, first)
		return
	}
	seen[key] = c.line(path)
}

func (c *config) checkRoomName(path, name string) bool {
	if name == "" {
		if !c.given(path) {
			c.wrong(path, "is missing; write the name that the room has on the LAN, as in Witchcraft")
		}
		return false
	}
	return c.checkLine(path, name, maxLabel)
}

// checkLine checks a name that may hold any characters.
func (c *config) checkLine(path, s string, most int) bool {
	switch {
	case !utf8.ValidString(s), strings.ContainsFunc(s, unicode.IsControl):
		c.wrong(path, "is %q; it must be one line of text", s)
	case strings.TrimSpace(s) != s:
		c.wrong(path, "is %q; take off the blanks around it", s)
	case len(s) > most:
		c.wrong(path, "has %d bytes; %d is the most", len(s), most)
	default:
		return true
	}
	return false
}

func (c *config) roomJID(path, s string) (jid.JID, bool) {
	if s == "" {
		if !c.given(path) {
			c.wrong(path, "is missing; write the room's address, as in room@conference.example.org")
		}
		return jid.JID{}, false
	}
	j, err := parseAddress(s)
	switch {
	case err != nil:
		c.wrong(path, "%v", err)
	case j.Resourcepart() != "":
		c.wrong(path, "%s is somebody in a room; the room is %s", j, j.Bare())
	case c.hasContact(j):
		c.wrong(path, "%s is in the list of contacts; it cannot be a person and a room", j)
	default:
		return j, true
	}
	return jid.JID{}, false
}

// checkGroup checks where the room is, and that it can be somewhere.
func (c *config) checkGroup(at string, r roomConfig) {
	g, err := r.group()
	switch {
	case err != nil:
		c.wrong(at+".group", "%v", err)
	case g.IsValid() && c.given(at+".make"):
		c.doubt(at+".make", "has no effect: group says where the room is")
	case g.IsValid() && g.Addr().Is6() && !c.LAN.IPv6:
		c.wrong(at+".group", "%s is IPv6, and lan.ipv6 is false", g)
	}
}

// group is the room's address; the zero value if the file does not say it.
func (r roomConfig) group() (netip.AddrPort, error) {
	if r.Group == "" {
		return netip.AddrPort{}, nil
	}
	g, err := netip.ParseAddrPort(r.Group)
	switch {
	case err != nil:
		return g, fmt.Errorf("%q is no address with a port; write it as in 239.255.71.66:13251", r.Group)
	case !g.Addr().IsMulticast(), g.Addr().Is4In6(), g.Addr().Zone() != "":
		return g, fmt.Errorf("%s is no multicast address; rooms are in 239.255.71.1 to 239.255.71.253, as a rule", g.Addr())
	case g.Port() < 1024:
		return g, fmt.Errorf("has the port %d; it must be from 1024 to 65535", g.Port())
	}
	return g, nil
}

// roomPassword reads the password of a room; "" if it has none.
func (c *config) roomPassword(r roomConfig) (string, error) {
	if r.File == "" {
		return "", nil
	}
	b, err := readCapped(c.resolve(r.File), maxSecretBytes)
	if err != nil {
		return "", err
	}
	return cleanSecret(string(b))
}
