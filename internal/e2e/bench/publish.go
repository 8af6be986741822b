package main

import (
	"context"
	"fmt"
	"html"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"meshgate/internal/e2e"
)

const (
	publishRuns = 3
	strangers   = 2000 // packets that are no business of a publisher's
	strangeRate = 500  // of them a second
	browses     = 5
	// zeroconfIdlers is how many contacts of zeroconf's libpurple is sure to
	// have in the end: of 1000 some are missing for ever.
	zeroconfIdlers = 300
	browseWait     = 1500 * time.Millisecond // an answer may take 120 ms, and one packet may not be enough
)

var (
	publishSizes   = []int{1, 100, 300, 1000}
	publishRivals  = []string{"meshgate", "zeroconf"}
	publishIdlers  = []string{"meshgate", "zeroconf", "avahi"}
	idleTime       = 10 * time.Minute
	idleSettle     = 20 * time.Second // until the last announcement is out
	questionMcast  = mustPack(e2e.PresenceService+".local.", dns.TypePTR)
	questionUnlike = mustPack("_ipp._tcp.local.", dns.TypePTR)
)

func mustPack(name string, typ uint16) []byte {
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.Id, m.RecursionDesired = 0, false
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// measurePublishing prints what it costs to publish so many contacts, beside
// zeroconf's Server. Each round has a LAN of its own: a publisher on h1, avahi
// and what asks on h2.
func measurePublishing(ctx context.Context, tb e2e.TB, out sheet) {
	for _, library := range publishRivals {
		empty := residentAlone(tb, library)
		for _, n := range publishSizes {
			p := publishing{library: library, n: n, empty: empty}
			for run := range publishRuns {
				p.round(ctx, tb, run == publishRuns-1)
			}
			p.print(out)
		}
	}
}

// A publishing is what was measured of one library and number.
type publishing struct {
	library string
	n       int
	empty   float64 // MiB without contacts

	seen                           []float64
	rss, stranger, browse, packets float64
}

// residentAlone is the memory of a publisher of nothing, in MiB.
func residentAlone(tb e2e.TB, library string) float64 {
	lab := e2e.New(tb, 1)
	defer lab.Close()
	return mib(startPublisher(tb, lab.Host("h1"), library, 0).Usage().RSS)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func startPublisher(tb e2e.TB, h *e2e.Host, library string, n int) *e2e.Proc {
	p := h.Start(must(os.Executable())(tb), publishCommand, library, "eth0", strconv.Itoa(n))
	p.Expect(`^started`)
	return p
}

// round publishes them all once, and at the end looks at what they cost.
func (p *publishing) round(ctx context.Context, tb e2e.TB, last bool) {
	lab := e2e.New(tb, 2)
	defer lab.Close()
	h1, h2 := lab.Host("h1"), lab.Host("h2")
	h2.Avahi()
	browser := h2.Browse(e2e.PresenceService)
	start := time.Now()
	proc := h1.Start(must(os.Executable())(tb), publishCommand, p.library, "eth0", strconv.Itoa(p.n))
	browser.AwaitAllResolved(instances(p.n))
	p.seen = append(p.seen, time.Since(start).Seconds())
	browser.Stop()
	if !last {
		return
	}
	wait(ctx, 5*time.Second) // the announcements repeat
	p.rss = mib(proc.Usage().RSS) - p.empty

	before := proc.Usage().CPU
	must(0, ask(ctx, h2, questionUnlike, strangers, time.Second/strangeRate))(tb)
	p.stranger = ms(proc.Usage().CPU-before) / strangers

	before, packets := proc.Usage().CPU, sent(h1)
	must(0, ask(ctx, h2, questionMcast, browses, browseWait))(tb)
	p.browse = ms(proc.Usage().CPU-before) / browses
	p.packets = float64(sent(h1).packets-packets.packets) / browses
}

// instances are the presence names of n contacts.
func instances(n int) (all []string) {
	for i := range n {
		all = append(all, instanceOf(i))
	}
	return all
}

func (p *publishing) print(out sheet) {
	name := func(what string) string { return fmt.Sprintf("publish_%s_%d_%s", p.library, p.n, what) }
	out.figure(name("seen_by_avahi"), median(p.seen), "s")
	out.figure(name("rss_over_idle"), p.rss, "MiB")
	out.figure(name("cpu_foreign_packet"), p.stranger, "ms")
	out.figure(name("cpu_browse_query"), p.browse, "ms")
	out.figure(name("packets_browse_query"), p.packets, "packets")
}

// ask multicasts a question so many times, with a pause after each.
func ask(ctx context.Context, h *e2e.Host, question []byte, times int, pause time.Duration) error {
	c, err := h.ListenMulticast(e2e.MDNSGroup)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range times {
		if _, err := c.WriteTo(question, net.UDPAddrFromAddrPort(e2e.MDNSGroup)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// A traffic is what a host has sent since its cable was plugged in.
type traffic struct{ packets, bytes int64 }

func sent(h *e2e.Host) (t traffic) {
	for line := range strings.Lines(h.Output("cat", "/proc/net/dev")) {
		if counters, ok := strings.CutPrefix(strings.TrimSpace(line), "eth0:"); ok {
			fmt.Sscan(counters, new(int64), new(int64), new(int64), new(int64), new(int64), new(int64), new(int64), new(int64), &t.bytes, &t.packets)
		}
	}
	return t
}

// measureIdle prints what publishers send in ten quiet minutes to a libpurple
// that has them all in its list, side by side.
func measureIdle(ctx context.Context, tb e2e.TB, out sheet) {
	var idlers []*idler
	for _, n := range publishSizes {
		for _, library := range publishIdlers {
			if library != "zeroconf" || n <= zeroconfIdlers {
				idlers = append(idlers, startIdler(tb, library, n))
			}
		}
	}
	wait(ctx, idleSettle)
	for _, i := range idlers {
		i.start = sent(i.lab.Host("h1"))
	}
	wait(ctx, idleTime)
	for _, i := range idlers {
		now := sent(i.lab.Host("h1"))
		i.spent = traffic{now.packets - i.start.packets, now.bytes - i.start.bytes}
		name := fmt.Sprintf("idle_%s_%d_", i.library, i.n)
		out.figure(name+"packets", float64(i.spent.packets), "packets/10min")
		out.figure(name+"bytes", float64(i.spent.bytes)/1024, "KiB/10min")
		i.lab.Close()
	}
	for _, ours := range idlers {
		for _, avahi := range idlers {
			if ours.library == "meshgate" && avahi.library == "avahi" && ours.n == avahi.n {
				out.figure(fmt.Sprintf("idle_%d_bytes_over_avahi", ours.n), float64(ours.spent.bytes)/float64(avahi.spent.bytes), "ratio")
			}
		}
	}
}

// An idler is a LAN with a publisher on h1 and libpurple on h2.
type idler struct {
	library      string
	n            int
	lab          *e2e.Lab
	start, spent traffic
}

func startIdler(tb e2e.TB, library string, n int) *idler {
	i := &idler{library: library, n: n, lab: e2e.New(tb, 2)}
	h1, h2 := i.lab.Host("h1"), i.lab.Host("h2")
	h2.Avahi()
	watcher := h2.Purple("watcher", e2e.PurpleOptions{})
	if library == "avahi" {
		publishAvahi(h1, n)
	} else {
		startPublisher(tb, h1, library, n)
	}
	for k := range n {
		watcher.AwaitOn(instanceOf(k))
	}
	return i
}

// publishAvahi has an avahi-daemon publish the same set, by service files.
func publishAvahi(h *e2e.Host, n int) {
	const dir = "/etc/avahi/services"
	h.Output("mount", "-t", "tmpfs", "none", dir)
	for i := range n {
		user, text := published(i)
		var b strings.Builder
		fmt.Fprintf(&b, "<service-group><name>%s@gw</name><service><type>%s</type><port>%d</port>", user, e2e.PresenceService, 7000+i)
		for _, t := range text {
			fmt.Fprintf(&b, "<txt-record>%s</txt-record>", html.EscapeString(t))
		}
		b.WriteString("</service></service-group>\n")
		h.Output("cp", h.WriteFile(user+".service", b.String()), dir)
	}
	h.Avahi()
}
