package rmulticast

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReplay puts us in the place of each of gibber's nodes in turn: we are given
// what it was sent, and tell of the same members, in the same order, and the same
// messages of each. Every line of testdata/replay.txt is a capture, a node, its id,
// when it was connected and when it ended, and what it told: +members that joined,
// -members that left, sender:stream:bytes for a message.
//
// The capture of eight nodes ends before its last events.
//
// CQ-02, CQ-03, CQ-04, CQ-05 against the other implementation.
func TestReplay(t *testing.T) {
	b, err := os.ReadFile("testdata/replay.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		t.Run(f[0]+"/"+f[1], func(t *testing.T) { replay(t, f) })
	}
}

func replay(t *testing.T, f []string) {
	var id SenderID
	fmt.Sscanf(f[2], "%x", &id)
	e := New(Config{Name: f[1], Rand: rand.New(rand.NewPCG(1, uint64(id)))})
	e.becomeConnecting(moment(f[3]).Add(-probeListen - probes*probeInterval))
	e.self = id
	list := readTrace(t, "testdata/"+f[0]+".pcap.gz")
	for _, c := range list {
		if p, err := ParsePacket(c.data); err == nil && p.Sender == id && p.Type.reliable() {
			e.next = p.ID + 1<<16 // further than it went: what the others had of it we have said
			break
		}
	}
	var told []string
	for _, c := range list {
		if !c.at.Before(moment(f[4])) {
			break
		}
		for next := e.NextTimeout(); !next.After(c.at); next = e.NextTimeout() {
			e.HandleTimeout(next)
			told = append(told, tell(e)...)
		}
		p, err := ParsePacket(c.data)
		if err != nil {
			t.Fatal(err)
		}
		if p.Sender != id && (p.Sender != 0 || p.Target != id) {
			e.table.said = mark{} // its number is not the one that they have heard
			e.HandlePacket(c.at, c.data)
		}
		told = append(told, tell(e)...)
	}
	for _, from := range sources(append(told, f[5:]...)) {
		want(t, "of "+from, of(told, from), of(f[5:], from)...)
	}
}

// moment reads a time in seconds since 1970; 0 is never.
func moment(s string) time.Time {
	var sec, usec int64
	fmt.Sscanf(s, "%d.%d", &sec, &usec)
	if sec == 0 {
		sec = 1 << 40
	}
	return time.Unix(sec, usec*1000)
}

// tell returns what the engine tells, as gibber's nodes do: who is a member again
// under another id has only joined.
func tell(e *Engine) (list []string) {
	for _, ev := range e.TakeOutput().Events {
		switch ev := ev.(type) {
		case Joined:
			for _, m := range ev.Members {
				list = slices.DeleteFunc(list, func(s string) bool { return s == "-"+m.Name })
			}
			list = append(list, "+"+strings.ReplaceAll(names(ev.Members), " ", ","))
		case Left:
			list = append(list, "-"+ev.Name)
		case Message:
			list = append(list, fmt.Sprintf("%s:%d:%d", ev.From.Name, ev.Stream, len(ev.Data)))
		case Restarted:
			list = append(list, "restarted")
		}
	}
	return list
}

// sources are the senders of the messages, and "" for what is about members.
func sources(told []string) (list []string) {
	for _, s := range told {
		list = append(list, source(s))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func source(s string) string {
	from, _, _ := strings.Cut(s, ":")
	if from == s {
		return ""
	}
	return from
}

func of(told []string, from string) (list []string) {
	for _, s := range told {
		if source(s) == from {
			list = append(list, s)
		}
	}
	return list
}
