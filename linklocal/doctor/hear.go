package doctor

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	maxHosts = 1024 // remembered of each kind, for each link
	maxNames = 128  // names of ours that are asked for
)

// Names are what the gateway calls itself on the LAN.
type Names struct {
	Host      string   // label under .local of its address records
	Instances []string // presence names: "alice@gw"
	Running   bool     // the gateway runs, and so holds them itself
}

// An ear collects what is heard on one link. It is pure; one goroutine owns it.
type ear struct {
	own     map[netip.Addr]bool // our addresses, of all links
	mark    string
	host    string            // our host name with its dot, in lower case
	wanted  map[string]string // full name in lower case -> the name as we call it
	running bool

	looped             bool
	multicast, unicast map[netip.Addr]bool
	echoes             map[netip.Addr]int
	held               map[string]Held // by full name
}

func newEar(own []netip.Addr, mark string, n Names) *ear {
	e := &ear{
		own: map[netip.Addr]bool{}, mark: strings.ToLower(mark + localDomain), host: strings.ToLower(n.Host + localDomain), running: n.Running,
		wanted:    map[string]string{},
		multicast: map[netip.Addr]bool{}, unicast: map[netip.Addr]bool{}, echoes: map[netip.Addr]int{}, held: map[string]Held{},
	}
	for _, a := range own {
		e.own[a.WithZone("")] = true
	}
	if n.Host != "" {
		e.wanted[e.host] = n.Host + ".local"
	}
	for _, i := range n.Instances[:min(len(n.Instances), maxNames)] {
		e.wanted[foldName(instanceName(i))] = i
	}
	return e
}

// hear takes a packet. What is no DNS message says nothing.
func (e *ear) hear(b []byte, src netip.Addr, multicast bool) {
	var m dns.Msg
	if len(b) > maxPacket || m.Unpack(b) != nil {
		return
	}
	marked := slices.ContainsFunc(m.Question, func(q dns.Question) bool { return strings.EqualFold(q.Name, e.mark) })
	switch {
	case e.own[src.WithZone("")]:
		e.looped = e.looped || marked && multicast
	case marked && !m.Response:
		if _, known := e.echoes[src]; known || len(e.echoes) < maxHosts {
			e.echoes[src]++
		}
	case multicast && len(e.multicast) < maxHosts:
		e.multicast[src] = true
	case len(e.unicast) < maxHosts:
		e.unicast[src] = true
	}
	if m.Response {
		for _, rr := range slices.Concat(m.Answer, m.Extra) {
			e.record(rr, src)
		}
	}
}

// record looks whether somebody else says that a name of ours is theirs.
// Goodbyes say nothing.
func (e *ear) record(rr dns.RR, src netip.Addr) {
	full := foldName(rr.Header().Name)
	name, ours := e.wanted[full]
	if !ours || rr.Header().Ttl == 0 {
		return
	}
	switch rr := rr.(type) {
	case *dns.A:
		if a, ok := netip.AddrFromSlice(rr.A); ok && !e.own[a.Unmap()] {
			e.held[full] = Held{Name: name, By: a.Unmap()}
		}
	case *dns.SRV:
		// Our own gateway's record, perhaps by way of a reflector.
		if mine := strings.EqualFold(rr.Target, e.host); mine && (e.running || e.own[src.WithZone("")]) {
			return
		}
		e.held[full] = Held{Name: name, By: src, Host: strings.TrimSuffix(rr.Target, ".")}
	}
}

// foldName is a name as it is compared: raw bytes, without ASCII case.
func foldName(name string) string {
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '\\' && i+3 < len(name) && isDigit(name[i+1]) && isDigit(name[i+2]) && isDigit(name[i+3]) {
			c = (name[i+1]-'0')*100 + (name[i+2]-'0')*10 + name[i+3] - '0'
			i += 3
		} else if c == '\\' && i+1 < len(name) {
			i++
			c = name[i]
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// tell writes what was heard into the facts of the link. Who was heard by
// multicast need not be named among those who answer by unicast.
func (e *ear) tell(l *LAN) {
	l.Looped = e.looped
	l.Multicast, l.Unicast = addrsOf(e.multicast), addrsOf(e.unicast)
	for a, n := range e.echoes {
		l.Echoes = append(l.Echoes, Echo{a, n})
	}
	slices.SortFunc(l.Echoes, func(a, b Echo) int { return a.From.Compare(b.From) })
	l.Held = nil
	for _, h := range e.held {
		l.Held = append(l.Held, h)
	}
	slices.SortFunc(l.Held, func(a, b Held) int { return cmp.Compare(a.Name, b.Name) })
}

func addrsOf(set map[netip.Addr]bool) (list []netip.Addr) {
	for a := range set {
		list = append(list, a)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}
