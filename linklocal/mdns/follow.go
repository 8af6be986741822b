package mdns

import (
	"net/netip"
	"slices"
	"time"

	"meshgate/internal/alarm"
	"meshgate/internal/netwatch"
)

const (
	linkPoll   = 2 * time.Second        // how often one looks at the interfaces in any case
	linkSettle = 100 * time.Millisecond // a change comes in many small ones
	linkShare  = 10                     // to look takes at most this part of the time, where many containers come and go
)

// links are the interfaces in use and the sockets that serve them. They belong
// to the loop, but for mayHaveMoved.
type links struct {
	inUse   []*usedLink
	conns   [numFamilies]packetConn // nil: not open
	trouble map[string]string       // of opening or joining, to log it once
	missing bool                    // said that there is no link
	awake   netwatch.Wake
	moved   chan struct{} // a token: the interfaces may be others
	settled alarm.Alarm
	settle  time.Duration // how long to wait for more
}

// A usedLink is a link with the families in which it has joined the group.
type usedLink struct {
	Link
	joined [numFamilies]bool
}

// families is by how many a multicast leaves.
func (u *usedLink) families() (n int) {
	for _, in := range u.joined {
		if in {
			n++
		}
	}
	return n
}

// mayHaveMoved is for any goroutine and does not block.
func (x *links) mayHaveMoved() {
	select {
	case x.moved <- struct{}{}:
	default:
	}
}

func (x *links) named(name string) *usedLink {
	return x.find(func(u *usedLink) bool { return u.Name == name })
}

func (x *links) indexed(index int) *usedLink {
	return x.find(func(u *usedLink) bool { return u.Index == index })
}

func (x *links) find(is func(*usedLink) bool) *usedLink {
	if i := slices.IndexFunc(x.inUse, is); i >= 0 {
		return x.inUse[i]
	}
	return nil
}

// published are the addresses to publish on a link: its own; but of links on one
// network, as cable and Wi-Fi often are, the first one's on all of them. Two would
// flush each other from the caches of those who hear both, and who calls from
// the first must be known by it.
//
// COMPAT libpurple 2.14 knows one address of a peer, and refuses calls from
// another.
func (x *links) published(u *usedLink) []netip.Addr {
	addrs := u.Addrs()
	for i, p := range u.Prefixes {
		if p.Addr().IsLinkLocalUnicast() {
			continue // every link has that network
		}
		for _, other := range x.inUse {
			same := func(q netip.Prefix) bool { return q.Masked() == p.Masked() }
			if j := slices.IndexFunc(other.Prefixes, same); j >= 0 {
				addrs[i] = other.Prefixes[j].Addr()
				break
			}
		}
	}
	return addrs
}

// current is the link in use where there is but one; "": none.
func (x *links) current() string {
	if len(x.inUse) == 0 {
		return ""
	}
	return x.inUse[0].Name
}

// checkLinks follows the interfaces: those that have come, gone, or have other
// addresses. An interface without carrier is gone.
//
// "Whenever a Multicast DNS responder … receives an indication of a network
// interface "Link Change" event … it MUST perform the two startup steps below:
// Probing … and Announcing", RFC 6762 §8.
func (l *loop) checkLinks(now time.Time) {
	l.links.settled.Stop()
	there, err := l.c.sys.candidates()
	l.links.settle = max(linkSettle, linkShare*time.Since(now))
	if err != nil { // no files left, say: that is no news about the interfaces
		l.c.log.Debug("interfaces not listed", "err", err)
		return
	}
	slept := l.links.awake.Slept(now, l.c.sys.uptime())
	if !l.c.cfg.IPv6 {
		there = without6(there)
	}
	found := choose(there, l.c.cfg.Interfaces, l.links.current())
	for _, u := range slices.Clone(l.links.inUse) {
		same := func(o Link) bool { return o.Name == u.Name && o.Index == u.Index }
		if !slices.ContainsFunc(found, same) {
			l.unplug(now, u)
		}
	}
	for _, f := range found {
		l.plug(now, f)
	}
	for _, u := range l.links.inUse {
		l.stack.SetLink(now, u.Name, u.Addrs(), l.links.published(u), u.families())
	}
	if slept {
		l.c.log.Info("awake again, starting over")
		l.stack.StartOver(now)
	}
	l.announceLinks()
}

// plug takes a link into use, or what has changed about it.
func (l *loop) plug(now time.Time, found Link) {
	u := l.links.named(found.Name)
	if u == nil {
		u = &usedLink{Link: Link{Name: found.Name, Index: found.Index}}
	}
	for f := range numFamilies {
		l.join(u, &found, f)
	}
	switch fresh := l.links.named(found.Name) == nil; {
	case u.families() == 0 && !fresh:
		l.unplug(now, u)
		return
	case u.families() == 0:
		return
	case fresh:
		l.links.inUse = append(l.links.inUse, u)
		l.c.log.Info("link up", "interface", found.Name, "addrs", found.Prefixes, "ipv4", u.joined[ipv4Family], "ipv6", u.joined[ipv6Family])
	case !slices.Equal(u.Prefixes, found.Prefixes):
		l.c.log.Info("link changed", "interface", found.Name, "addrs", found.Prefixes, "ipv4", u.joined[ipv4Family], "ipv6", u.joined[ipv6Family])
	}
	u.Prefixes = found.Prefixes
}

// join has the link in the group of one family if it has addresses of that.
// When these are others the group is joined anew: membership may have gone
// with the old ones.
func (l *loop) join(u *usedLink, found *Link, f family) {
	addrs := f.of(found.Prefixes)
	switch {
	case len(addrs) == 0:
		if u.joined[f] {
			l.links.conns[f].Leave(found)
		}
		u.joined[f] = false
	case u.joined[f] && slices.Equal(addrs, f.of(u.Prefixes)):
	case l.links.conns[f] == nil && !l.open(f):
		u.joined[f] = false
	default:
		err := l.links.conns[f].Join(found)
		u.joined[f] = err == nil
		l.complain(f, found.Name, "group not joined", err)
	}
}

func (l *loop) unplug(now time.Time, u *usedLink) {
	for f := range numFamilies {
		if u.joined[f] {
			l.links.conns[f].Leave(&u.Link)
		}
	}
	l.links.inUse = remove(l.links.inUse, u)
	l.c.log.Info("link down", "interface", u.Name)
	l.stack.RemoveLink(now, u.Name)
}

func (l *loop) open(f family) bool {
	conn, err := l.c.sys.open(f)
	l.complain(f, "", "socket not opened", err)
	if err != nil {
		return false
	}
	l.links.conns[f] = conn
	l.wg.Go(func() { l.read(conn) })
	return true
}

// complain logs the same trouble once, until it is over.
func (l *loop) complain(f family, link string, msg string, err error) {
	what := f.String() + " " + link
	if err == nil {
		delete(l.links.trouble, what)
		return
	}
	if text := err.Error(); text != l.links.trouble[what] {
		if len(l.links.trouble) > 4*MaxLinks {
			clear(l.links.trouble) // of interfaces that have come and gone
		}
		l.links.trouble[what] = text
		l.c.log.Warn(msg, "family", f.String(), "interface", link, "err", err)
	}
}

// announceLinks lets others see what is in use.
func (l *loop) announceLinks() {
	out := make([]Link, 0, len(l.links.inUse))
	for _, u := range l.links.inUse {
		out = append(out, Link{u.Name, u.Index, slices.Clone(u.Prefixes)})
	}
	if len(out) == 0 && !l.links.missing {
		l.c.log.Warn("no usable interface", "interfaces", l.c.cfg.Interfaces)
	}
	l.links.missing = len(out) == 0
	l.c.mu.Lock()
	l.c.links = out
	l.c.mu.Unlock()
}

// readerEnded drops a socket that failed; the next checkLinks opens another.
func (l *loop) readerEnded(conn packetConn) {
	for f, c := range l.links.conns {
		if c != conn {
			continue
		}
		l.links.conns[f] = nil
		c.Close()
		for _, u := range l.links.inUse {
			u.joined[f] = false
		}
	}
}

func (l *loop) closeSockets() {
	for _, c := range l.links.conns {
		if c != nil {
			c.Close()
		}
	}
}
