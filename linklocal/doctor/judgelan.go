package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxReflections is how many copies of one packet some reflectors may make
// between a few networks. More of them go in circles.
const maxReflections = 4

func judgeLANs(f Facts) []Finding {
	var out []Finding
	for _, l := range f.LANs {
		if l.IPv6 {
			out = append(out, judgeHearing6(f, l)...)
		} else {
			out = append(out, judgeHearing(f, l))
		}
		out = append(out, judgeEchoes(l)...)
	}
	return out
}

// judgeHearing says whether mDNS works on a link, or the most likely reason
// why not. One trouble hides those behind it.
func judgeHearing(f Facts, l LAN) Finding {
	switch {
	case l.Filtered:
		return fault("firewall", fmt.Sprintf("a firewall on this machine does not let us send to the LAN on %s (%s)", l.Link, l.SendErr),
			"allow outgoing UDP to port 5353: nft add rule inet filter output udp dport 5353 accept")
	case l.SendErr != "":
		return fault("send", fmt.Sprintf("nothing can be sent to the LAN on %s: %s", l.Link, l.SendErr), "look at the interface and its routes: ip addr; ip route")
	case !l.Looped:
		return fault("firewall", fmt.Sprintf("a firewall on this machine drops what comes for UDP port 5353: not even our own multicast on %s comes back", l.Link),
			"allow incoming UDP port 5353: nft add rule inet filter input udp dport 5353 accept; or: ufw allow 5353/udp; firewall-cmd --add-service=mdns")
	case len(l.Multicast) > 0:
		return fine("mdns", fmt.Sprintf("mDNS works on %s: heard %s", l.Link, hosts(l.Multicast)))
	case len(l.Unicast) > 0:
		return notDelivered(f, l)
	case len(l.Neighbours) > 0:
		return warning("alone", fmt.Sprintf("there are other hosts on %s (%s), but none that speaks mDNS", l.Link, hosts(l.Neighbours)),
			"start a chat client there; if there is one, see that its firewall lets UDP port 5353 in")
	case l.RouterUp:
		// To be alone behind a router is no fault, and looks the same.
		return warning("isolation", fmt.Sprintf("on %s only the router %s can be reached, and no other host: the network keeps its clients apart, or there is nobody else", l.Link, l.Router),
			"if there are others, switch off client isolation (AP isolation, guest network, private VLAN) at the access point or switch; a container needs the network of its host")
	case l.Router.IsValid():
		return fault("unreachable", fmt.Sprintf("on %s nobody answers, not even the router %s", l.Link, l.Router),
			"see whether the cable or the Wi-Fi leads to the right network, and the address fits it")
	case l.Swept:
		return warning("alone", fmt.Sprintf("nobody else is on %s", l.Link), "if there are others, see whether the cable or the Wi-Fi leads to the same network")
	}
	return warning("alone", fmt.Sprintf("nobody was heard on %s within %v", l.Link, l.Wait), "run it again with a longer -wait")
}

// judgeHearing6 does so for IPv6. Where there is IPv4 too it is a matter of
// comfort, and others need not have it.
func judgeHearing6(f Facts, l LAN) []Finding {
	both := slices.ContainsFunc(f.LANs, func(o LAN) bool { return o.Link == l.Link && !o.IPv6 })
	severity := Fault
	if both {
		severity = Warning
	}
	switch {
	case l.SendErr != "" && !l.Filtered:
		return []Finding{{severity, "send", fmt.Sprintf("nothing can be sent to the LAN on %s by IPv6: %s", l.Link, l.SendErr), "look at the interface and its routes: ip -6 addr; ip -6 route; or set lan.ipv6: false"}}
	case l.Filtered, !l.Looped:
		return []Finding{{severity, "firewall", fmt.Sprintf("a firewall on this machine drops mDNS by IPv6 on %s", l.Link), "allow UDP port 5353 in and out for IPv6 too (ff02::fb)"}}
	case len(l.Multicast) > 0:
		return []Finding{fine("mdns", fmt.Sprintf("mDNS works on %s by IPv6: heard %s", l.Link, hosts(l.Multicast)))}
	case both:
		return nil
	}
	return []Finding{warning("alone", fmt.Sprintf("nobody was heard on %s by IPv6, and it has no IPv4", l.Link), "see whether the others have IPv4 only, and give this machine an IPv4 address")}
}

// notDelivered is about hosts that answer, but whose multicast does not arrive.
func notDelivered(f Facts, l LAN) Finding {
	text := fmt.Sprintf("multicast does not arrive on %s: hosts answer when asked directly (%s), but nothing that they say to all is heard", l.Link, hosts(l.Unicast))
	switch {
	case l.Querier.IsValid():
		text += fmt.Sprintf(", although there is an IGMP querier (%s)", l.Querier)
	case l.CanHear:
		text += ", and no IGMP querier was heard: most likely IGMP snooping without one"
	default:
		text += ": most likely IGMP snooping without a querier"
	}
	mend := "switch off IGMP snooping at the switch or access point, or give the network a querier; for Wi-Fi also: multicast enhancement off"
	for _, link := range f.Links {
		if link.Name == l.Link && link.Bridge != "" && link.Snooping && !link.Querier {
			mend = fmt.Sprintf("ip link set %s type bridge mcast_querier 1 (or mcast_snooping 0)", link.Bridge)
		}
	}
	return fault("snooping", text, mend)
}

// hosts names up to three hosts, and says how many others there are.
func hosts(list []netip.Addr) string {
	const most = 3
	var names []string
	for _, a := range list[:min(len(list), most)] {
		names = append(names, a.String())
	}
	if n := len(list) - most; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return listed(names)
}

// judgeEchoes tells a reflector from two that play ping-pong.
func judgeEchoes(l LAN) []Finding {
	times := 0
	var from []netip.Addr
	for _, e := range l.Echoes {
		times += e.Times
		from = append(from, e.From)
	}
	switch {
	case times == 0:
		return nil
	case times > maxReflections*max(l.Sent, 1):
		return []Finding{fault("reflector", fmt.Sprintf("a reflector loop on %s: what we sent %s came back %d times within %v, from %s", l.Link, often(l.Sent), times, l.Wait, hosts(from)),
			"let no more than one host reflect mDNS between the same two networks (avahi-daemon: enable-reflector; routers: mDNS repeater)")}
	}
	return []Finding{note("reflector", fmt.Sprintf("%s reflects mDNS on %s from or to another network; that does no harm", hosts(from), l.Link))}
}

func often(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// judgeNames is about names of ours that others have.
func judgeNames(f Facts) []Finding {
	const check = "name-conflict"
	var out []Finding
	seen := map[string]bool{}
	for _, l := range f.LANs {
		for _, h := range l.Held {
			key := strings.ToLower(h.Name)
			if seen[key] {
				continue
			}
			seen[key] = true
			who := h.By.String()
			if h.Host != "" && !strings.EqualFold(h.Host, h.Name) {
				who = h.Host + " (" + who + ")"
			}
			out = append(out, fault(check, fmt.Sprintf("the name %s is held by %s: the gateway has to take another", quoted(h.Name), who),
				"change the name there, or ours: lan.machine, concierge.name, or name: of the contact"))
		}
	}
	for _, r := range f.Gateway.Renamed {
		if !seen[strings.ToLower(r.Wanted)] {
			out = append(out, fault(check, fmt.Sprintf("the gateway is called %s on the LAN, because the name %s was held by somebody else", quoted(r.Name), quoted(r.Wanted)),
				"see who has it: meshgate browse; change the name there or here, and restart the gateway"))
		}
	}
	if len(out) == 0 && f.Named && slices.ContainsFunc(f.LANs, func(l LAN) bool { return l.Looped }) {
		out = append(out, fine(check, "no name of the gateway's is held by another host"))
	}
	return out
}

func quoted(s string) string { return "“" + s + "”" }
