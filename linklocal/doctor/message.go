package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// group is where multicast DNS is spoken. RFC 6762 §3
var group = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), 5353)

const (
	localDomain  = ".local."
	presenceType = "_presence._tcp" + localDomain
	everyType    = "_services._dns-sd._udp" + localDomain // RFC 6763 §9
	maxQuestions = 12                                     // in one packet, so that it fits any link
	maxPacket    = 9000                                   // bytes, RFC 6762 §17
	hexDigits    = "0123456789abcdef"
)

// greeting asks who is there; a mark makes it ours and nobody else's.
func greeting(mark string) []byte {
	questions := []dns.Question{ask(everyType, dns.TypePTR), ask(presenceType, dns.TypePTR)}
	if mark != "" {
		questions = append(questions, ask(mark+localDomain, dns.TypeTXT))
	}
	return pack(questions)
}

// addressQuestions ask for the names of addresses. Many hosts that offer no
// service answer those at least. RFC 6762 §4
func addressQuestions(list ...netip.Addr) []byte {
	var questions []dns.Question
	for _, a := range list[:min(len(list), maxQuestions)] {
		if name, err := dns.ReverseAddr(a.String()); err == nil {
			questions = append(questions, ask(name, dns.TypePTR))
		}
	}
	return pack(questions)
}

// nameQuestions ask who holds our names: the host label and the instances.
func nameQuestions(n Names) [][]byte {
	var questions []dns.Question
	if n.Host != "" {
		questions = append(questions, ask(n.Host+localDomain, dns.TypeA))
	}
	for _, i := range n.Instances[:min(len(n.Instances), maxNames)] {
		questions = append(questions, ask(instanceName(i), dns.TypeSRV))
	}
	var packets [][]byte
	for len(questions) > 0 {
		k := min(len(questions), maxQuestions)
		packets = append(packets, pack(questions[:k]))
		questions = questions[k:]
	}
	return packets
}

func ask(name string, typ uint16) dns.Question {
	return dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET}
}

// instanceName spells every byte of a presence name that is not quite plain.
func instanceName(instance string) string {
	var b strings.Builder
	for i := range len(instance) {
		switch c := instance[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	return b.String() + "." + presenceType
}

// pack writes a query; nil for names that no query can have.
func pack(questions []dns.Question) []byte {
	m := dns.Msg{Question: questions}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// markOf makes a label of random bytes that nobody else has.
func markOf(random [8]byte) string {
	b := []byte("meshgate-doctor-")
	for _, c := range random {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return string(b)
}
