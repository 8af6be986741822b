package rmulticast

import "testing"

// What is dear to take weighs more, and anything can be weighed.
func TestWeight(t *testing.T) {
	many := make([]Entry, 160)
	for _, c := range []struct {
		p    Packet
		want int
	}{
		{Packet{Type: Data, Entries: many[:20], Payload: []byte("text")}, 1},
		{Packet{Type: Data, Payload: make([]byte, 1400)}, 1},
		{Packet{Type: Data, Entries: many, Payload: []byte("text")}, 6},
		{Packet{Type: NoData, Entries: many}, 6},
		{Packet{Type: Session, Entries: many}, 6},
		{Packet{Type: RepairRequest, Target: 1, ID: 2}, 1},
		{Packet{Type: WhoisReply, Name: "a name of some length"}, 1},
		{Packet{Type: AttemptJoin}, 8},
		{Packet{Type: Join, Entries: many[:64]}, 10},
		{Packet{Type: Failure, Senders: make([]SenderID, 100)}, 8},
	} {
		b, err := AppendPacket(nil, &c.p)
		if err != nil {
			t.Fatal(err)
		}
		if got := Weight(b); got != c.want {
			t.Errorf("%v weighs %d, want %d", &c.p, got, c.want)
		}
		for n := range b {
			if Weight(b[:n]) < 1 {
				t.Errorf("%d bytes of %v weigh nothing", n, &c.p)
			}
		}
	}
}
