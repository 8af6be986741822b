package sm

import (
	"strings"
	"time"

	"meshgate/internal/xmlframe"
)

// A shaped server reads slowly: up to piece bytes at a time, and then nothing
// until what it has read is paid for. It grants burst bytes in advance. All
// runs in virtual time, with an engine at the other end of a path that takes
// delay in each direction.
type shaped struct {
	e   *Engine
	now time.Time

	rate, burst float64 // bytes a second, bytes
	piece       int
	delay       time.Duration
	deaf        bool // reads nothing any more

	balance float64 // what may be read without paying
	paidAt  time.Time
	onWay   []parcel // to the server
	unread  []byte
	framer  *xmlframe.Framer
	h       uint32
	answers []parcel // to the client
	read    int      // bytes
	chat    []time.Time

	bulk   []string // what waits behind the engine, to be given by Room
	talk   []string // and what goes before it
	longer int      // largest flight so far
}

type parcel struct {
	at    time.Time
	bytes []byte
}

const chatLine = "<message id='chat'><body>a line of chat</body></message>"

// newShaped is a server with which the engine has just begun a session.
func newShaped(e *Engine, s shaped) *shaped {
	s.e, s.now = e, t0
	s.restart()
	return &s
}

// restart is a new connection, with a new session.
func (s *shaped) restart() {
	if s.e.State() != Offline {
		s.e.Lost(Broken)
	}
	s.balance, s.paidAt, s.h = s.burst, s.now, 0
	s.onWay, s.unread, s.answers, s.framer = nil, nil, nil, xmlframe.NewOpen(0)
	s.e.Forget()
	s.e.Bound(s.now, Binding{Dialect: V3, JID: "a@b/c"})
	s.e.AppendWrite(s.now, nil)
	s.now = s.now.Add(2 * s.delay)
	_ = s.e.HandleFrame(s.now, []byte("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>"))
}

// run lets time pass until done holds, or until the engine says that the
// connection is dead, or for at most so long.
func (s *shaped) run(most time.Duration, done func() bool) error {
	end := s.now.Add(most)
	for !done() && s.now.Before(end) {
		s.fill()
		for b := s.e.AppendWrite(s.now, nil); len(b) > 0; b = s.e.AppendWrite(s.now, nil) {
			s.onWay = append(s.onWay, parcel{s.now.Add(s.delay), b})
			s.e.Written(s.now)
			s.fill()
		}
		s.longer = max(s.longer, s.e.conn.inFlight)
		s.now = earliest(end, s.next())
		s.arrive()
		s.serve()
		if err := s.hear(); err != nil {
			return err
		}
		if err := s.e.HandleTimeout(s.now); err != nil {
			return err
		}
	}
	return nil
}

// fill gives the engine what it has room for, chat first.
func (s *shaped) fill() {
	for s.e.Room() > 0 && len(s.talk)+len(s.bulk) > 0 {
		from := &s.bulk
		if len(s.talk) > 0 {
			from = &s.talk
		}
		_, _ = s.e.Enqueue(s.now, []byte((*from)[0]))
		*from = (*from)[1:]
	}
}

// next is when something happens; never before now.
func (s *shaped) next() time.Time {
	at := s.e.NextTimeout()
	if len(s.onWay) > 0 {
		at = earliest(at, s.onWay[0].at)
	}
	if len(s.answers) > 0 {
		at = earliest(at, s.answers[0].at)
	}
	if len(s.unread) > 0 && !s.deaf {
		wait := max(0, -s.pay()) / s.rate
		at = earliest(at, s.now.Add(time.Duration(wait*float64(time.Second))+time.Microsecond))
	}
	return latest(at, s.now)
}

// pay adds what has been earned since to the balance.
func (s *shaped) pay() float64 {
	s.balance = min(s.burst, s.balance+s.rate*s.now.Sub(s.paidAt).Seconds())
	s.paidAt = s.now
	return s.balance
}

func (s *shaped) arrive() {
	for len(s.onWay) > 0 && !s.onWay[0].at.After(s.now) {
		s.unread = append(s.unread, s.onWay[0].bytes...)
		s.onWay = s.onWay[1:]
	}
}

func (s *shaped) serve() {
	for len(s.unread) > 0 && !s.deaf && s.pay() >= 0 {
		n := min(len(s.unread), s.piece)
		s.balance -= float64(n)
		s.read += n
		frames, err := s.framer.Feed(s.unread[:n])
		if err != nil {
			panic(err)
		}
		s.unread = s.unread[n:]
		for _, f := range frames {
			s.handle(f.Bytes)
		}
	}
}

func (s *shaped) handle(b []byte) {
	switch {
	case KindOf(b) != Nonza:
		s.h++
		if string(b) == chatLine {
			s.chat = append(s.chat, s.now)
		}
	case strings.HasPrefix(string(b), "<r "):
		s.answers = append(s.answers, parcel{s.now.Add(s.delay), []byte(a(s.h))})
	}
}

func (s *shaped) hear() error {
	for len(s.answers) > 0 && !s.answers[0].at.After(s.now) {
		if err := s.e.HandleFrame(s.now, s.answers[0].bytes); err != nil {
			return err
		}
		s.answers = s.answers[1:]
	}
	return nil
}

// addBulk lets n bytes wait, in stanzas of a size.
func (s *shaped) addBulk(n, size int) {
	st := "<message><body>" + strings.Repeat("x", max(0, size-32)) + "</body></message>"
	for ; n > 0; n -= len(st) {
		s.bulk = append(s.bulk, st)
	}
}

// idle reports whether all is acknowledged.
func (s *shaped) idle() bool {
	n, _ := s.e.Queued()
	return n == 0 && len(s.bulk)+len(s.talk) == 0
}
