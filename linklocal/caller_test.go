package linklocal

import (
	"fmt"
	"testing"
	"time"
)

// COMPAT libpurple 2.14 on avahi 0.8: a person who comes and writes at once
// calls before it is announced. Its words wait until it is, by whatever name the
// stream has, and however many windows it writes in; nobody speaks for it from
// elsewhere.
func TestWhoWritesBeforeItIsAnnouncedIsLetIn(t *testing.T) {
	for name, from := range map[string]string{"by its name": "romeo@h3", "without a name": ""} {
		t.Run(name, func(t *testing.T) {
			lan := new(fakeLAN)
			n := start(t, lan.host("127.0.0.2"), "juliet", Config{})
			header := oldHeader
			if from != "" {
				header = headerFrom(from, "")
			}
			const windows = maxSearchesPerAddr + 1
			var calls []*rawPeer
			for i := range windows {
				_, addr := n.publish(t, ContactID(fmt.Sprint("c", i)), fmt.Sprint("user", i))
				p := call(t, "127.0.0.3", addr)
				p.say("%s<message><body>early %d</body></message>", header, i)
				p.until(">") // XML declaration
				p.until(">") // we have its header
				calls = append(calls, p)
			}
			impostor := call(t, "127.0.0.4", n.addr)
			impostor.say("%s<message><body>not romeo</body></message>", headerFrom("romeo@h3", ""))
			impostor.until("to='romeo@h3'>")

			lan.host("127.0.0.3").peer(t, "romeo@h3", 1)
			for i, p := range calls {
				if got := n.waitBody(t, fmt.Sprint("early ", i)); got.From != "romeo@h3" {
					t.Errorf("from %q", got.From)
				}
				p.say(endTag)
				p.until(endTag)
			}
			if got := n.Stats(); got.UnknownCallers != 0 {
				t.Errorf("%d turned away", got.UnknownCallers)
			}
			if got := n.bodies(); len(got) != windows {
				t.Errorf("said: %q", got)
			}
		})
	}
}

// Who is not announced in time is turned away, and told so.
func TestWhoIsNeverAnnouncedIsTurnedAway(t *testing.T) {
	const news = 300 * time.Millisecond
	lan := new(fakeLAN)
	n := start(t, lan.host("127.0.0.2"), "juliet", Config{News: news})
	begin := time.Now()
	p := call(t, "127.0.0.3", n.addr)
	p.say("%s", headerFrom("romeo@h3", ""))
	p.until("<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
	if early := news - time.Since(begin); early > 0 {
		t.Errorf("%v too early", early)
	}
}
