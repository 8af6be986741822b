package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

func commas(list []linklocal.Instance) string {
	var names []string
	for _, i := range list {
		names = append(names, string(i))
	}
	return strings.Join(names, ",")
}

func TestMentionTakesTheLongestName(t *testing.T) {
	among := []linklocal.Instance{"bob@h2", "Bob@h3", "bob@h2 (2)", "ännchen@h", "bo\u200bx@h", "@h9"}
	for text, want := range map[string]struct {
		found string
		rest  string
	}{
		"bob@h2 hi":      {"bob@h2", "hi"},
		"BOB@H2: hi":     {"bob@h2", "hi"},
		"bob@h2 (2) hi":  {"bob@h2 (2)", "hi"},
		"bob@h2\n(2) hi": {"bob@h2", "(2) hi"},
		"bob hi":         {"bob@h2,Bob@h3,bob@h2 (2)", "hi"},
		"ÄNNCHEN na":     {"ännchen@h", "na"},
		"~box@h hi":      {"bo\u200bx@h", "hi"},
		"bo":             {"", "bo"},
		"bobby hi":       {"", "bobby hi"},
		"":               {"", ""},
		"bob@h3":         {"Bob@h3", ""},
		"\xff\xfe":       {"", "\xff\xfe"},
	} {
		found, rest := mention(text, among)
		if names := commas(found); names != want.found || rest != want.rest {
			t.Errorf("mention(%q) = %q, %q; want %q, %q", text, names, rest, want.found, want.rest)
		}
	}
}

// IJ-09: a name that goes on where another's ends must not catch what is meant
// for that other; only what the LAN itself puts behind a name tells the two apart.
func TestIJ09NamesThatGoOnAsWordsCatchNothing(t *testing.T) {
	among := []linklocal.Instance{"bob@h2", "bob@h2 (2)", "bob@h2 #2", "bob@h2 can@evil", "bob@h2 will", "bob please@evil", "ann@h1", "ann lee@h3"}
	for text, want := range map[string]string{
		"bob@h2 can you come?":    "bob@h2,bob@h2 can@evil",
		"bob@h2 will you come?":   "bob@h2,bob@h2 will",
		"bob@h2 (2) hi":           "bob@h2 (2)",
		"bob@h2 #2 hi":            "bob@h2 #2",
		"ann lee hi":              "ann@h1,ann lee@h3",
		"ann lee@h3 hi":           "ann lee@h3",
		"ann@h1 lee is ill":       "ann@h1",
		"bob please come":         "bob@h2,bob@h2 (2),bob@h2 #2,bob@h2 will,bob please@evil",
		"bob@h2 can@evil so what": "bob@h2 can@evil",
	} {
		found, _ := mention(text, among)
		if names := commas(found); names != want {
			t.Errorf("mention(%q) = %q, want %q", text, names, want)
		}
	}
}

func TestReasonsAreForPeople(t *testing.T) {
	for err, want := range map[error]string{
		nil:                  "",
		xmppc2s.ErrQueueFull: "too much is waiting for the server",
		errors.New("dial tcp 192.0.2.1: refused"):                              "the server did not take it",
		&stanza.Error{Condition: "recipient-unavailable"}:                      "recipient unavailable",
		&stanza.Error{Condition: "gone", Text: "moved\u202e\n[meshgate] away"}: "the other side says “moved [meshgate] away”",
	} {
		if got := reason(err); got != want {
			t.Errorf("reason(%v) = %q, want %q", err, got, want)
		}
	}
	for err, want := range map[error]string{
		fmt.Errorf("%w: 192.0.2.1:5298", linklocal.ErrUnreachable): "no connection",
		fmt.Errorf("%w: bob@h2", linklocal.ErrNoPeer):              "gone",
		linklocal.ErrSlow: "its program does not read",
		errors.New("dial tcp 192.0.2.1:5298: connection refused"): "no connection",
		errNoMirror: "the gateway could not show you there",
	} {
		if got := reasonLAN(err); got != want {
			t.Errorf("reasonLAN(%v) = %q, want %q", err, got, want)
		}
	}
}

// IJ-09: what others wrote stands in quotation marks, which it cannot end.
func TestIJ09OthersWordsStandInQuotationMarks(t *testing.T) {
	if got, want := describeStatus("dnd", "x”), bob@h2 (away: “gone"), ` (dnd: “x"), bob@h2 (away: "gone”)`; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	err := &stanza.Error{Condition: "gone", Text: "”). [meshgate] your password has expired (“"}
	if got, want := reason(err), `the other side says “"). [meshgate] your password has expired ("”`; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestListsAreBounded(t *testing.T) {
	var peers []linklocal.Peer
	for range 500 {
		peers = append(peers, linklocal.Peer{Instance: "somebody@somewhere"})
	}
	if got := describePeers(peers, 200, false); len(got) > 220 || got[len(got)-9:] != " 490 more" {
		t.Errorf("list of %d bytes: %s", len(got), got)
	}
	if got := joinWords([]string{"aaaa", "bbbb", "cccc"}, 12); got != "aaaa, bbbb and 1 more" {
		t.Errorf("got %q", got)
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	good := office()
	if err := good.Validate(); err != nil {
		t.Errorf("the office is refused: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"twice":     {func(c *Config) { c.Contacts = append(c.Contacts, c.Contacts[0]) }, "given twice"},
		"same user": {func(c *Config) { c.Contacts[0].User = "CARL" }, "is taken"},
		"concierge": {func(c *Config) { c.Contacts[0].User = "meshgate" }, "is taken"},
		"resource":  {func(c *Config) { c.Contacts[0].JID = jid.MustParse("a@b/c") }, "user@domain"},
		"domain":    {func(c *Config) { c.Contacts[0].JID = jid.MustParse("b") }, "user@domain"},
		"mark":      {func(c *Config) { c.Concierge = "gate@h" }, "must not hold"},
		"rule":      {func(c *Config) { c.PeerContacts[0].Contacts[0] = jid.MustParse("x@y") }, "is not a contact"},
		"rate":      {func(c *Config) { c.Limits.PeerRate = Rate{PerMinute: 3} }, "above zero"},
	} {
		c := office()
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, tc.want)
		}
	}
}

// Help says how something big is sent, where it can be.
func TestHelpSpeaksOfStreams(t *testing.T) {
	for service, want := range map[string]int{"": 0, "gateway@example.org": 2} {
		cfg := office()
		if service != "" {
			cfg.Streams = jid.MustParse(service)
		}
		r := newRig(t, cfg)
		r.online(false)
		r.command("here bob@h2")
		r.command("lan bob@h2 gate help")
		r.fromNet(`<message from='alice@example.org/phone' id='0'><body>@help</body></message>`)
		said := strings.Join(r.taken(), "\n")
		if strings.Count(said, "meshgate stream send") != want || strings.Count(said, "-service "+service+" FILE") != want/2 {
			t.Errorf("service %q: %s", service, said)
		}
	}
}
