package xmppc2s

import (
	"bufio"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
)

// A server that lists components, of which one never answers, is no broken one.
func TestSurveyDoesNotWaitForAComponentThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{JID: jid.MustParse("alice@example.org/survey")}.withDefaults()
		ours, theirs := net.Pipe()
		defer ours.Close()
		go answerSurvey(theirs, map[string]string{
			"example.org":       "<feature var='urn:xmpp:ping'/>",
			"alice@example.org": "<identity category='pubsub' type='pep'/>",
			"rooms.example.org": "<identity category='conference' type='text'/>",
		}, "<item jid='hangs.example.org'/><item jid='rooms.example.org'/>")
		s := &surveyor{Errand: newErrand(&cfg, &link{conn: newByteConn(ours), raw: ours, dialect: "urn:xmpp:sm:3"})}
		began := time.Now()
		if err := s.run(); err != nil {
			t.Error(err)
		}
		if !s.found.Ping || !s.found.PEP || s.found.Rooms != "rooms.example.org" || !s.found.SM || !s.found.Resumable {
			t.Errorf("found %+v", s.found)
		}
		if d := time.Since(began); d != componentPatience {
			t.Errorf("it took %v, want %v", d, componentPatience)
		}
	})
}

// answerSurvey answers disco#info of those addresses, and disco#items, until
// the stream ends. Nobody else answers, and other questions get an error.
func answerSurvey(c net.Conn, info map[string]string, items string) {
	question := regexp.MustCompile(`^<iq type='get' id='([^']*)' to='([^']*)'><(\w+) xmlns='([^']*)'`)
	answers := make(chan string, maxComponents) // a pipe has no buffer
	defer close(answers)
	go func() {
		defer c.Close()
		for a := range answers {
			c.Write([]byte(a))
		}
	}()
	r := bufio.NewReader(c)
	for text := ""; !strings.HasSuffix(text, "</stream:stream>"); {
		b, err := r.ReadByte()
		if err != nil {
			return
		}
		text += string(b)
		switch m := question.FindStringSubmatch(text); {
		case strings.HasPrefix(text, "<enable ") && b == '>':
			answers <- "<enabled xmlns='urn:xmpp:sm:3' resume='true'/>"
		case m == nil || !strings.HasSuffix(text, "</iq>"):
			continue
		default:
			id, to, name, ns := m[1], m[2], m[3], m[4]
			payload, known := info[to]
			if ns == stanza.NSItems {
				payload = items
			}
			typ := "result"
			if ns != stanza.NSItems && ns != stanza.NSDisco {
				typ = "error"
			}
			if known {
				answers <- "<iq type='" + typ + "' id='" + id + "' from='" + to + "'><" + name + " xmlns='" + ns + "'>" + payload + "</" + name + "></iq>"
			}
		}
		text = ""
	}
}
