package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options say what to look at.
type Options struct {
	Interfaces []string // none: the first usable
	IPv6       bool     // beside IPv4
	Names      Names
	Wait       time.Duration // how long to listen; default 3 s
}

const defaultWait = 3 * time.Second

// Look gathers the facts of the LAN: all but Gateway and Server. It takes
// about Options.Wait, and twice as much where nobody is heard. It owns
// every goroutine and socket that it makes.
func Look(ctx context.Context, o Options) Facts {
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	f := Facts{Now: time.Now(), Built: installed(), Wanted: o.Interfaces, Links: links(o.IPv6), Route: route(), Port: tryPort(), Named: o.Names.Host != ""}
	if f.Port.Err != "" {
		return f
	}
	var own []netip.Addr
	for _, l := range f.Links {
		for _, p := range l.Prefixes {
			own = append(own, p.Addr())
		}
	}
	var wg sync.WaitGroup
	used := f.Used()
	four, six := make([]LAN, len(used)), make([]LAN, len(used))
	for i, l := range used {
		if hasIPv4(l) {
			wg.Go(func() { four[i] = listenOn(ctx, l, false, own, o) })
		}
		if hasIPv6(l) {
			wg.Go(func() { six[i] = listenOn(ctx, l, true, own, o) })
		}
	}
	wg.Wait()
	f.LANs = slices.DeleteFunc(append(four, six...), func(l LAN) bool { return l.Link == "" })
	return f
}

// installed is when the file of this program was written.
func installed() time.Time {
	name, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	fi, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}

// tryPort opens the port as the gateway does, and lets it go.
func tryPort() Port {
	c, err := bind(false)
	switch {
	case err == nil:
		c.Close()
		return Port{}
	case errors.Is(err, syscall.EADDRINUSE):
		return Port{Err: reason(err), InUse: true, Holder: holder()}
	}
	return Port{Err: reason(err)}
}

// listenOn finds out what there is to hear on a link, by one family.
func listenOn(ctx context.Context, link Link, six bool, own []netip.Addr, o Options) LAN {
	l := LAN{Link: link.Name, IPv6: six, Wait: o.Wait}
	var random [8]byte
	rand.Read(random[:])
	mark := markOf(random)
	p, err := openProbe(link, six)
	if err != nil {
		l.SendErr = reason(err)
		return l
	}
	defer p.close()
	heard := newEar(own, mark, o.Names)
	p.start()
	l.CanHear = p.igmp != nil
	p.greet(&l, mark, o.Names)
	p.listen(ctx, &l, heard, o.Wait/2)
	p.greet(&l, mark, o.Names) // a packet may have been lost, or an IPv6 address not have been ours yet
	p.listen(ctx, &l, heard, o.Wait/2)
	heard.tell(&l)
	if !six && len(l.Multicast) == 0 && l.Looped && l.SendErr == "" {
		p.sweep(ctx, &l, link, heard, o.Wait/2)
		heard.tell(&l)
	}
	return l
}

// greet sends all our questions, from both ports, and notes whether it could.
func (p *probe) greet(l *LAN, mark string, n Names) {
	l.SendErr, l.Filtered = "", false
	err := p.say(greeting(mark))
	l.Sent++
	for _, q := range nameQuestions(n) {
		err = errors.Join(err, p.say(q))
	}
	if p.legacy != nil {
		_, e := p.legacy.WriteToUDPAddrPort(greeting(""), group)
		err = errors.Join(err, e)
	}
	if err != nil {
		l.SendErr = reason(err)
		l.Filtered = errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
	}
}

// listen feeds the ear for so long.
func (p *probe) listen(ctx context.Context, l *LAN, e *ear, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case s := <-p.sounds:
			if s.igmp {
				l.Querier = s.src
			} else {
				e.hear(s.data, s.src, s.multicast)
			}
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// maxSweep is how many addresses are asked one by one: a network of 24 bits.
const maxSweep = 254

// sweep, by IPv4 only, asks the neighbours directly, and those who answer once more by
// multicast: they may just have had nothing to say to all. Who is there and
// says nothing shows by its hardware address: the kernel has to find that out
// before it sends.
func (p *probe) sweep(ctx context.Context, l *LAN, link Link, e *ear, d time.Duration) {
	l.Swept, l.Router = true, router(link.Name)
	before := resolved(link.Name)
	prefix, _ := link.IPv4()
	for _, a := range around(prefix, maxSweep) {
		_, _ = p.legacy.WriteToUDPAddrPort(addressQuestions(a), netip.AddrPortFrom(a, group.Port())) // fails where nobody is
	}
	// What was known before need not be true any more.
	var wg sync.WaitGroup
	var mu sync.Mutex
	answering := map[netip.Addr]bool{}
	known := addrsOf(before)
	for _, a := range known[:min(len(known), maxSweep)] {
		wg.Go(func() {
			if answers(ctx, a, d) {
				mu.Lock()
				defer mu.Unlock()
				answering[a] = true
			}
		})
	}
	p.listen(ctx, l, e, d)
	if len(e.unicast) > 0 {
		_ = p.say(addressQuestions(addrsOf(e.unicast)...)) // a firewall would have shown before
		p.listen(ctx, l, e, d)
	}
	wg.Wait()
	for a := range resolved(link.Name) {
		switch {
		case a == l.Router: // many do not answer us at all; the kernel asks after it as long as it is in use
			l.RouterUp = true
		case !before[a] || e.unicast[a] || answering[a]:
			l.Neighbours = append(l.Neighbours, a)
		}
	}
	slices.SortFunc(l.Neighbours, netip.Addr.Compare)
}

// answers reports whether a host answers to an attempt to connect, be it with
// a refusal.
func answers(ctx context.Context, a netip.Addr, limit time.Duration) bool {
	d := net.Dialer{Timeout: limit}
	c, err := d.DialContext(ctx, "tcp4", netip.AddrPortFrom(a, group.Port()).String())
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// around lists the other addresses of a network, or of the part of it that
// has 24 bits.
func around(own netip.Prefix, most int) (list []netip.Addr) {
	p := own
	if p.Bits() < 24 {
		p = netip.PrefixFrom(own.Addr(), 24)
	}
	p = p.Masked()
	for a := p.Addr().Next(); p.Contains(a) && len(list) < most; a = a.Next() {
		if last := !p.Contains(a.Next()); a != own.Addr() && !(last && p.Bits() < 31) {
			list = append(list, a)
		}
	}
	return list
}

// reason is an error in the system's words, without the addresses around it.
func reason(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return err.Error()
}
