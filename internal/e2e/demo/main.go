// Command demo shows the main job of the gateway on real parts: it builds an
// office LAN with two users of Pidgin's Bonjour client, an XMPP server, a
// remote user with an ordinary XMPP client, and the gateway between them. It
// prints what they see and how long each message took, and then stays up, so
// that a person can talk through it. With DEMO=once in the environment it ends
// after the show, with status 0 only if everything arrived.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"meshgate/internal/e2e"
)

func main() {
	os.Exit(e2e.Main("demo", os.Stderr, func(tb e2e.TB) {
		s := newStage(tb, os.Stdout)
		s.play()
		if os.Getenv("DEMO") != "once" {
			s.stayUp(os.Stdin)
		}
	}))
}

// A stage is the office with its people.
type stage struct {
	tb         e2e.TB
	w          io.Writer
	start      time.Time
	office     *e2e.Office
	bob, carol *e2e.Purple
	alice      *e2e.Remote
	crone      *e2e.Member
}

func newStage(tb e2e.TB, w io.Writer) *stage {
	s := &stage{tb: tb, w: w, start: time.Now()}
	s.print(`
meshgate: people on an office LAN and people anywhere on XMPP talk to each other

    Bob's PC    Pidgin's Bonjour client ──┐
    Carol's PC  Pidgin's Bonjour client ──┤ office LAN, no server on it
                and a crone in a Clique   │
                room, "Witchcraft"        │
                                      meshgate ────── XMPP server ────── Alice
                                                      example.org       in another city

Building this on the spot: network namespaces, Avahi, libpurple, Prosody, and
slixmpp for Alice. None of them knows of the gateway.
`)
	opt := e2e.OfficeOptions{Hosts: 3, Config: map[string]any{"rooms": []any{
		map[string]any{"name": roomName, "muc": roomMUC, "make": true},
	}}}
	s.office = e2e.NewOffice(tb, opt)
	s.office.Avahi()
	s.tell("the XMPP server runs, and Avahi on every PC")
	s.office.StartGateway(opt)
	s.tell("the gateway runs, with config.example.yaml as made for this office")
	return s
}

func (s *stage) print(text string) { fmt.Fprintln(s.w, text) }

// tell prints a line with the time since the beginning.
func (s *stage) tell(format string, args ...any) {
	fmt.Fprintf(s.w, "%6.2f s  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

// said prints a message and how long it took.
func (s *stage) said(from, to, text string, took time.Duration) {
	s.tell("%-5s → %-5s  %-58q %8.1f ms", from, to, text, float64(took.Microseconds())/1000)
}

func (s *stage) play() {
	o := s.office
	mirror := o.Mirror("alice")
	s.print("\n— Alice comes online with her XMPP client; Bob and Carol start Pidgin —\n")
	s.alice = o.Host("h1").Remote(o.Server, "alice", e2e.RemoteOptions{Resource: "phone"})
	s.alice.AwaitPresence(o.GatewayJID(), "")
	s.alice.Status("", "in the other city")
	s.bob = o.Host("h2").Purple("bob", e2e.PurpleOptions{First: "Bob"})
	s.carol = o.Host("h3").Purple("carol", e2e.PurpleOptions{First: "Carol"})
	s.bob.AwaitOn(mirror)
	s.tell("Bob's buddy list shows %s", mirror)
	s.carol.AwaitOn(mirror)
	s.tell("Carol's buddy list shows %s", mirror)
	s.bob.AwaitShown(mirror, "available", "in the other city")
	s.tell("Bob reads beside her name: %q", "in the other city")
	s.alice.AwaitStatus(o.GatewayJID(), "", "LAN: bob@h2, carol@h3")
	s.tell("Alice's contact list shows who is on the LAN: %q", "LAN: bob@h2, carol@h3")

	s.print("\n— They talk. Alice sees one contact, the gateway, with names in front —\n")
	first := s.toAlice(s.bob, "Bob", "Good morning Alice, are you there?")
	s.toBob(first.Thread, "Hello Bob! Yes, and it is 7 o'clock here.")
	s.toAlice(s.carol, "Carol", "Hi, Carol here. Please call me.")
	s.toBob(first.Thread, "Bob, who is Carol?")
	s.toCarol("@carol I will, in an hour.")

	s.print("\n— Presence —\n")
	start := time.Now()
	s.alice.Status("dnd", "in a meeting")
	s.bob.AwaitStatus(mirror, "away", "in a meeting")
	s.tell("Alice sets \"do not disturb: in a meeting\"; Bob sees it after %.1f ms", float64(time.Since(start).Microseconds())/1000)
	start = time.Now()
	s.bob.Quit()
	s.alice.AwaitStatus(o.GatewayJID(), "", "LAN: carol@h3")
	s.tell("Bob goes home; Alice's list says so after %.1f s (changes are gathered)", time.Since(start).Seconds())
	s.alice.SendMessage(e2e.Message{To: o.GatewayJID(), Body: "@bob one more thing", ID: "late"})
	e := s.alice.Await("an answer", func(e e2e.Event) bool { return e.Ev == "message" && (e.ID == "late" || e.Body != "") })
	s.tell("Alice writes to Bob all the same and is told: %q", answer(e))
	s.meet()
	s.print("\nBoth directions work.\n")
}

// answer is what a person reads of a message or an error.
func answer(e e2e.Event) string {
	if e.Body != "" && e.Type != "error" {
		return e.Body
	}
	text := e.XML[strings.Index(e.XML, "<error"):]
	text = text[strings.Index(text, "<text"):]
	return e2e.PlainText(text)
}

func (s *stage) toAlice(from *e2e.Purple, name, text string) e2e.Event {
	start := time.Now()
	from.Msg(s.office.Mirror("alice"), text)
	e := s.alice.AwaitMessage(s.office.GatewayJID(), text)
	s.said(name, "Alice", e.Body, time.Since(start))
	return e
}

func (s *stage) toBob(thread, text string) {
	start := time.Now()
	s.alice.SendMessage(e2e.Message{To: s.office.GatewayJID(), Body: text, Thread: thread})
	im := s.bob.AwaitIM(s.office.Mirror("alice"), text)
	s.said("Alice", "Bob", im.Text(), time.Since(start))
}

func (s *stage) toCarol(text string) {
	start := time.Now()
	s.alice.Msg(s.office.GatewayJID(), text)
	im := s.carol.NextIM()
	s.said("Alice", "Carol", im.Text(), time.Since(start))
}

// stayUp lets a person talk until the input ends.
func (s *stage) stayUp(in io.Reader) {
	s.print(`The office stays open for a look. Write as one of them, for example
    carol: are you still there?
    alice: yes, and you?
and read what the other one sees. An empty line or Ctrl-C ends the demo.
`)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		who, text, ok := strings.Cut(lines.Text(), ":")
		text = strings.TrimSpace(text)
		switch {
		case lines.Text() == "":
			return
		case ok && who == "carol" && text != "":
			s.toAlice(s.carol, "Carol", text)
		case ok && who == "alice" && text != "":
			s.toCarol("@carol " + text)
		default:
			s.print("carol: TEXT or alice: TEXT, please")
		}
	}
}
