package linklocal

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A pair that goes from one stream to another: nothing is lost, doubled or
// out of order.

func TestNothingIsLostOrDoubledWhenBothCallAtOnce(t *testing.T) {
	const rounds, each = 40, 3
	for round := range rounds {
		lan := new(fakeLAN)
		a := start(t, lan.host("127.0.0.2"), "juliet", Config{})
		b := start(t, lan.host("127.0.0.3"), "romeo", Config{})
		a.waitPeer(t, b.name)
		b.waitPeer(t, a.name)
		if round%2 == 1 {
			a, b = b, a
		}
		talkAtOnce(t, a, b, each)
		a.stop()
		b.stop()
	}
}

// talkAtOnce has two nodes call each other at once, and checks what arrives.
func talkAtOnce(t *testing.T, a, b *node, each int) {
	t.Helper()
	var wg sync.WaitGroup
	var want []string
	for i := range each {
		want = append(want, fmt.Sprint(i))
	}
	for _, n := range []*node{a, b} {
		wg.Go(func() {
			to := b.name
			if n == b {
				to = a.name
			}
			var verdicts []<-chan error
			for i := range each {
				verdicts = append(verdicts, n.send(to, fmt.Sprint(i)))
			}
			for _, v := range verdicts {
				if err := verdict(t, v); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, n := range []*node{a, b} {
		for i := range each {
			n.waitBody(t, fmt.Sprint(i))
		}
		got := n.bodies()
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// The peer opens its stream while ours waits for the header: what waits goes
// over the peer's, and ours stays readable.
func TestWaitingStanzasGoOverTheStreamThatThePeerOpens(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	done := n.send("romeo@h3", "hail")
	ours := answer(t, ln)
	ours.until(">") // XML declaration
	ours.until(">") // our header; it is not answered

	theirs := call(t, "127.0.0.3", n.addr)
	theirs.say("%s", headerFrom("romeo@h3", string(n.name)))
	theirs.until("<body>hail</body></message>")
	if err := verdict(t, done); err != nil {
		t.Error(err)
	}
	ours.say("%s<message><body>on yours</body></message>", headerFrom("romeo@h3", string(n.name)))
	theirs.say("<message><body>on mine</body></message>")
	n.waitBody(t, "on yours")
	n.waitBody(t, "on mine")
	n.send("romeo@h3", "again")
	theirs.until("<body>again</body></message>")
}

func TestNewerStreamOfAPeerReplacesItsOlder(t *testing.T) {
	n, old := rawTalk(t, Config{})
	newer := call(t, "127.0.0.3", n.addr)
	newer.say("%s", headerFrom("romeo@h3", ""))
	old.until(endTag)
	n.send("romeo@h3", "hi")
	newer.until("<body>hi</body></message>")
	old.say("<message><body>late</body></message>" + endTag)
	n.waitBody(t, "late")
}

// Our address has changed: what is written on a stream from the old one would
// be lost in the kernel's buffers, and taken for sent. LL-18
func TestStreamFromAnAddressThatWeHaveNoMoreIsNotWrittenTo(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	n.send("romeo@h3", "1")
	old := answer(t, ln)
	old.say("%s", oldHeader)
	old.until("<body>1</body></message>")

	n.dns.setAddrs()
	n.send("romeo@h3", "2") // without a link TCP may still make it
	old.until("<body>2</body></message>")

	n.dns.setAddrs("127.0.0.22")
	n.send("romeo@h3", "3")
	fresh := answer(t, ln)
	if got := addrOf(fresh.RemoteAddr()).String(); got != "127.0.0.22" {
		t.Errorf("called from %s", got)
	}
	fresh.say("%s", oldHeader)
	fresh.until("<body>3</body></message>")
	if got := old.rest(); got != "" {
		t.Errorf("on the old stream: %q", got)
	}
}

// What was written on one stream arrives before what goes over the next.
func TestOrderIsKeptWhenThePeerOpensAStream(t *testing.T) {
	n, ln := rawCallee(t, Config{QueuePerPeer: 1000})
	const count = 120
	pad := strings.Repeat("x", 60<<10) // 7 MB: more than the kernel takes
	var verdicts []<-chan error
	for i := range count {
		verdicts = append(verdicts, n.send("romeo@h3", fmt.Sprintf("%d:%s", i, pad)))
	}
	ours := answer(t, ln)
	ours.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	ours.say("%s", oldHeader)
	if err := verdict(t, verdicts[0]); err != nil {
		t.Fatal(err)
	}
	theirs := call(t, "127.0.0.3", n.addr)
	theirs.say("%s<message><body>mine</body></message>", headerFrom("romeo@h3", string(n.name)))
	n.waitBody(t, "mine") // the stream is open
	last := n.send("romeo@h3", "last")
	for i := range 20 { // the rest may be in the kernel's buffers
		ours.until(fmt.Sprintf("<body>%d:", i))
		select {
		case err := <-last:
			t.Fatalf("the last stanza was sent before number %d was read: %v", i, err)
		default:
		}
		ours.until("</body></message>")
	}
	go ours.rest()
	theirs.until("<body>last</body></message>")
	if err := verdict(t, last); err != nil {
		t.Error(err)
	}
}

// The peer reads its streams in any order: a moment between the two keeps
// what it reads in ours.
func TestThereIsAPauseBetweenTwoStreams(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	n.send("romeo@h3", "1")
	ours := answer(t, ln)
	ours.say("%s", oldHeader)
	ours.until("<body>1</body></message>")
	theirs := call(t, "127.0.0.3", n.addr)
	begin := time.Now()
	n.send("romeo@h3", "2")
	ours.until("<body>2</body></message>")
	theirs.say("%s<message><body>mine</body></message>", headerFrom("romeo@h3", string(n.name)))
	n.waitBody(t, "mine")
	n.send("romeo@h3", "3")
	n.send("romeo@h3", "4")
	theirs.until("<body>3</body></message>")
	if d := time.Since(begin); d < switchPause {
		t.Errorf("the next stream was used after %v", d)
	}
	theirs.until("<body>4</body></message>")
}

// The peer closes its chat window while a message is on its way: what it has
// not read comes again, on a new stream, once and in order.
func TestWhatAClosingPeerHasNotReadComesAgain(t *testing.T) {
	for name, bye := range map[string]string{"in order": endTag, "without a word": ""} {
		t.Run(name, func(t *testing.T) {
			n, ln := rawCallee(t, Config{})
			n.send("romeo@h3", "read")
			p := answer(t, ln)
			p.say("%s", oldHeader)
			p.until("<body>read</body></message>")
			marks := make(chan string, 3*3)
			for i := range 3 {
				text := fmt.Sprint("unread ", i)
				done := make(chan error, 1)
				n.Send(Outgoing{From: "c", To: "romeo@h3", Stanza: message(text),
					Done: func(err error) { done <- err },
					Mark: func(written bool) { marks <- fmt.Sprint(text, " ", written) }})
				if err := verdict(t, done); err != nil {
					t.Fatal(err)
				}
			}
			if bye != "" {
				p.say("%s", bye)
			}
			p.Close() // with data unread, TCP says so by a reset
			second := answer(t, ln)
			second.say("%s", oldHeader)
			for i := range 3 {
				second.until(fmt.Sprintf("<body>unread %d</body></message>", i))
			}
			n.send("romeo@h3", "after")
			second.until("<body>after</body></message>")
			if got := n.Stats().Resent; got < 3 {
				t.Errorf("%d stanzas counted as sent again", got)
			}
			for i := range 9 {
				want := fmt.Sprint("unread ", i%3, " ", i/3 != 1)
				if got := <-marks; got != want {
					t.Errorf("mark %d is %q, want %q", i, got, want)
				}
			}
		})
	}
}

// LL-14: there is one end tag, even where something has to be written to find
// out whether the peer has read the last stanza.
func TestStreamHasOneEndTag(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	done := n.send("romeo@h3", "one")
	p := answer(t, ln)
	p.say("%s", oldHeader)
	p.until("<body>one</body></message>")
	if err := verdict(t, done); err != nil {
		t.Fatal(err)
	}
	n.Withdraw("c")
	p.until(endTag)
	p.Conn.(*net.TCPConn).CloseWrite() // without an end tag of its own
	if got := p.rest(); strings.TrimSpace(got) != "" {
		t.Errorf("behind the end tag: %q", got)
	}
}

// A peer that has read everything and then closes gets nothing twice, whenever
// that meets the next message.
func TestWhatAClosingPeerHasReadDoesNotComeAgain(t *testing.T) {
	for name, bye := range map[string]func(p *rawPeer){
		"in order":            func(p *rawPeer) { p.say(endTag); p.until(endTag) },
		"waiting for nothing": func(p *rawPeer) { p.say(endTag) },
		"without a word":      func(*rawPeer) {},
	} {
		t.Run(name, func(t *testing.T) {
			n, ln := rawCallee(t, Config{})
			n.send("romeo@h3", "one")
			p := answer(t, ln)
			p.say("%s", oldHeader)
			p.until("<body>one</body></message>")
			bye(p)
			p.Close()
			n.send("romeo@h3", "two") // it may be written before that is noticed
			second := answer(t, ln)
			second.say("%s", oldHeader)
			if got := second.until("<body>two</body></message>"); strings.Contains(got, "one") {
				t.Errorf("read again: %q", got)
			}
			if got := n.Stats().Resent; got > 1 {
				t.Errorf("%d stanzas sent again", got)
			}
		})
	}
}

// So it is while whoever takes the peer's words is busy with them, and its
// reader learns late that the peer has closed.
func TestWhatAClosingPeerHasReadDoesNotComeAgainWhileTheHandlerIsBusy(t *testing.T) {
	n, ln := rawCallee(t, Config{})
	busy, free := make(chan struct{}), make(chan struct{})
	n.block = func(_ context.Context, ev Event) {
		if _, ok := ev.(Received); ok {
			close(busy)
			<-free
		}
	}
	n.send("romeo@h3", "one")
	p := answer(t, ln)
	p.say("%s", oldHeader)
	p.until("<body>one</body></message>")
	p.say("<message><body>a long story</body></message>")
	<-busy
	p.Close()
	n.send("romeo@h3", "two")
	n.send("romeo@h3", "three") // meets the reset that "two" is answered with
	time.AfterFunc(3*resetWait, func() { close(free) })
	second := answer(t, ln)
	second.say("%s", oldHeader)
	if got := second.until("<body>three</body></message>"); strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("read again: %q", got)
	}
}
