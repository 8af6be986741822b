package mdns

import (
	"fmt"
	"testing"
	"time"
)

// On a link where nothing happens nearly nothing is said.
func TestIdleIsQuiet(t *testing.T) {
	var services []Service
	for i := range 300 {
		services = append(services, service(fmt.Sprint("user", i), "status=avail"))
	}
	r := publishing(t, services...)
	r.advance(time.Hour)
	if len(r.sent) > 6 { // the browse question, each time after three times as long
		t.Errorf("sent %d packets in an hour", len(r.sent))
	}
}

// 300 peers are kept fresh with few packets: those of one time together, and
// what one host asks the others need not.
func TestRefreshingManyTakesFewPackets(t *testing.T) {
	l := newLAN(t, 1)
	a := l.host("a", Config{})
	for i := range 300 {
		a.register(service(fmt.Sprint("user", i), "status=avail"))
	}
	b, c := l.host("b", Config{}), l.host("c", Config{})
	l.run(10 * time.Second)
	l.sent = nil
	l.run(10 * time.Minute)
	questions, answers := 0, 0
	for _, d := range l.sent {
		if d.Data[2]&0x80 == 0 {
			questions++
		} else {
			answers++
		}
	}
	rounds := 7 // 96 s each
	if most := rounds * 40; questions > most {
		t.Errorf("%d packets of questions in 10 minutes, want at most %d", questions, most)
	}
	if most := rounds * 60; answers > most {
		t.Errorf("%d packets of answers in 10 minutes, want at most %d", answers, most)
	}
	if len(b.seen) != 300 || len(c.seen) != 300 {
		t.Errorf("%d and %d of 300 seen", len(b.seen), len(c.seen))
	}
}
