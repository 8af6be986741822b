package dsps_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/e2e/rawstream"
)

// logLines is a log, a line at a time.
type logLines chan string

func (l logLines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// next waits for the line that says so.
func (l logLines) next(t *testing.T, what string) string {
	t.Helper()
	for late := time.After(rawstream.Patience); ; {
		select {
		case line := <-l:
			if strings.Contains(line, what) {
				return line
			}
		case <-late:
			t.Fatalf("the log does not say %q", what)
		}
	}
}

// Each stream is named in the log, with who created it, without what clients add to
// that, and with what went through it alone; and all are counted.
func TestStreamsAreNamedInTheLog(t *testing.T) {
	log := make(logLines, 100)
	s, o := serve(t, func(c *dsps.ServerConfig) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	bob, total := o.person("bob@home.org/b"), 0
	for i, creator := range []string{"rob@nauseum.org", "ann@home.org"} {
		p := o.person(creator + "/dspsclient")
		at := p.Create("", "")
		to := p.Invite(at, bob, bob.JID, "slave", "")
		slave := bob.Connect(to, plain, "") // who is first has not made it
		p.Presence(bob.JID, "connect")
		_, name, _ := strings.Cut(log.next(t, "stream begins"), " stream=")
		if !strings.HasSuffix(name, " creator="+creator+"\n") {
			t.Errorf("stream begins: %s", name)
		}
		master := p.Connect(at, plain, "")
		p.Presence(p.JID, "connect")
		data := strings.Repeat("x", 1000+i)
		total += len(data)
		master.Put(data)
		slave.WantData("0", data)
		p.Drop(at, p.JID)
		master.Close()
		if line := log.next(t, "stream ended"); !strings.HasSuffix(line, fmt.Sprintf(" stream=%s bytes=%d\n", strings.TrimSpace(name), len(data))) {
			t.Errorf("stream %s: %s", name, line)
		}
	}
	if st := s.Stats(); st.Streams != 2 || st.Connections != 4 || st.Bytes != int64(total) {
		t.Errorf("counters %+v", st)
	}
}

// DS-04: what a client says it is on a connection may be another way to say it.
func TestClientIsKnownByWhatItSays(t *testing.T) {
	_, o := serve(t, func(c *dsps.ServerConfig) {
		c.Engine.ClientAs = func(said dsps.JID) dsps.JID {
			return dsps.JID(strings.Replace(string(said), "called rob/", "rob@nauseum.org/", 1))
		}
	})
	rob := o.person("rob@nauseum.org/dspsclient")
	at := rob.Create("", "")
	rob.JID = "called rob/dspsclient" // from now on
	rob.Connect(at, plain, "")
	rob.Presence("rob@nauseum.org/dspsclient", "connect")
}

// Streams that a stop of the server ends are named, too.
func TestAStopEndsStreamsInTheLog(t *testing.T) {
	log := make(logLines, 100)
	t.Cleanup(func() { // when the server has ended
		if line := log.next(t, "stream ended"); !strings.HasSuffix(line, " creator=rob@nauseum.org bytes=5\n") {
			t.Error(line)
		}
	})
	s, o := serve(t, func(c *dsps.ServerConfig) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	rob := o.person("rob@nauseum.org/dspsclient")
	master := rob.Connect(rob.Create("", ""), plain, "")
	rob.Presence(rob.JID, "connect")
	master.Put("hello")
	taken(t, s, 5)
}
