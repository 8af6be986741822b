package mdns

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Silence that is loss makes nobody disappear, as a rule: others ask every half
// minute who is there, and with 30 % loss each way some answers are missed.
func TestQuestionsOfOthersOnALossyLink(t *testing.T) {
	t.Parallel()
	gone, peers := 0, 0
	for seed := range uint64(10) {
		l := newLAN(t, seed)
		a, b := l.host("a", Config{}), l.host("b", Config{})
		for i := range 20 {
			a.register(service(fmt.Sprint("user", i)))
		}
		l.run(10 * time.Second)
		l.loss = 0.3
		m := ask(dns.TypePTR, mustType(testType))
		q, _ := m.pack(false)
		for range 20 {
			for _, n := range l.nodes {
				if l.rng.Float64() >= l.loss {
					n.e.HandlePacket(l.now, Packet{Data: q, Src: peerAddr})
					n.flush()
				}
			}
			l.run(30 * time.Second)
		}
		peers += 20
		for _, ev := range b.events {
			if _, ok := ev.(Vanished); ok {
				gone++
			}
		}
	}
	if gone > peers/10 {
		t.Errorf("%d times one of %d peers was thought to be gone in 10 minutes", gone, peers)
	}
}
