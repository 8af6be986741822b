package mdns

import (
	"testing"
	"time"
)

// FuzzLink mutates packets between two engines while names are taken, changed
// and given back: a byte of the input says how many packets pass unharmed, the
// next two what is done to the one that follows. Limits hold, and once the link
// is a good one again every name is established, and unique.
func FuzzLink(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0x80, 2, 40, 0xff, 1, 30, 1})
	f.Add([]byte{5, 60, 0x40, 5, 61, 0x20, 5, 62, 0x10, 5, 63, 8})
	f.Fuzz(func(t *testing.T, script []byte) {
		l := newLAN(t, 1)
		l.mangle = mangler(script)
		a, b := l.host("box", Config{}), l.host("box", Config{})
		for _, n := range []*simNode{a, b} {
			n.register(service("same"))
			n.register(service("of "+n.addr.String(), "k=v"))
		}
		l.run(3 * time.Second)
		a.setText("same", "k=new")
		b.unregister("same")
		l.run(3 * time.Second)
		b.register(service("same", "back=1"))
		l.run(3 * time.Second)
		checkCaps(t, a.e)
		checkCaps(t, b.e)
		l.mangle = nil
		l.run(2 * time.Minute)
		l.checkUnique("in the end")
		if len(l.sent) > 5000 {
			t.Errorf("%d packets", len(l.sent))
		}
	})
}

// mangler changes packets by a script.
func mangler(script []byte) func([]byte) []byte {
	pass := 0
	if len(script) > 0 {
		pass = int(script[0])
	}
	return func(b []byte) []byte {
		if pass--; pass >= 0 || len(script) < 3 {
			return b
		}
		at, how := int(script[1]), script[2]
		if script = script[3:]; len(script) > 0 {
			pass = int(script[0])
		}
		out := append([]byte(nil), b...)
		out[at%len(out)] ^= how
		return out
	}
}
