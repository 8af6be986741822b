package rewrite

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("east", 3600))

func parse(t *testing.T, in string) *stanza.Element {
	t.Helper()
	st, err := stanza.Parse([]byte(in), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	return st
}

// transcript reads testdata: lines of a word and the rest, without comments.
func transcript(t *testing.T, name string, step func(line int, word, rest string)) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		step(i+1, word, rest)
	}
}

func (c Content) describe() string {
	return strings.TrimSpace(c.Kind.String() + " " + c.State)
}

// Proves IJ-02, IJ-03, IJ-07, IJ-09 for single stanzas.
func TestLANToNetworkTranscript(t *testing.T) {
	var peer linklocal.Instance
	var c Content
	transcript(t, "lan_to_network.txt", func(line int, word, rest string) {
		switch word {
		case "peer":
			peer = linklocal.Instance(rest)
		case "in":
			c = ParseLAN(parse(t, rest))
		case "kind:":
			if got := c.describe(); got != rest {
				t.Errorf("line %d: is %q, want %q", line, got, rest)
			}
		case "out":
			got := ToNetwork(c, DisplayName(peer), Envelope{To: "juliet@example.org", ID: "ID", Thread: "TH"})
			if d := cmp.Diff(parse(t, rest).String(), got.String()); c.Kind != Words || d != "" {
				t.Errorf("line %d: %v\n%s", line, c.Kind, d)
			}
		default:
			t.Fatalf("line %d: what is %q?", line, word)
		}
	})
}

func TestNetworkToLANTranscript(t *testing.T) {
	var c Content
	transcript(t, "network_to_lan.txt", func(line int, word, rest string) {
		got := ToLAN(c, "Alice", noon)
		switch word {
		case "in":
			c = ParseNetwork(parse(t, rest))
		case "kind:":
			if got := c.describe(); got != rest {
				t.Errorf("line %d: is %q, want %q", line, got, rest)
			}
		case "body":
			want := strings.ReplaceAll(rest, `\n`, "\n")
			if text := got.Child(stanza.NSClient, "body").Text(); c.Kind != Words || text != want {
				t.Errorf("line %d: body %q, want %q", line, text, want)
			}
		case "out":
			if d := cmp.Diff(parse(t, rest).String(), got.String()); c.Kind != Words || d != "" {
				t.Errorf("line %d: %v\n%s", line, c.Kind, d)
			}
		default:
			t.Fatalf("line %d: what is %q?", line, word)
		}
	})
}

func TestContentCountsWhatItDrops(t *testing.T) { // IJ-02
	c := ParseLAN(parse(t, `<message><body>x</body><thread>t</thread><a xmlns='urn:a'/><b xmlns='urn:b'/></message>`))
	if c.Dropped != 2 {
		t.Errorf("dropped %d, want 2", c.Dropped)
	}
}

func TestDisplayNameHoldsNoTricks(t *testing.T) { // IJ-09
	for in, want := range map[linklocal.Instance]string{
		"bob@h2":           "bob@h2",
		"wjt@bael (2)":     "wjt@bael (2)",
		"Dr. J@box":        "Dr. J@box",
		"bob":              "bob@?",
		"meshgate":         "meshgate@?",
		"bob@?":            "~bob@?",
		"bo\u200bb@h2":     "~bob@h2",
		"~bob@h2":          "~~bob@h2",
		"bob@h2] yes [x@h": "~bob@h2) yes (x@h",
		"［bob］@h2":         "~(bob)@h2",
		"a\u202eb@h\n\t 2": "~ab@h 2",
		"bob  @h2":         "~bob @h2",
		"\xff@h":           "~\uFFFD@h",
		"":                 "@?",
		" \u2800":          "~@?",
		"bob@h2\uFE0F":     "~bob@h2",
		"bob\u3164@h2":     "~bob@h2",
		"【meshgate】@h2":    "~(meshgate)@h2",
		"bob\u00a0@h2":     "~bob @h2",
		"bob@h2⎤ yes":      "~bob@h2) yes",
		"a\u0308nnn@h":     "~ännn@h", // looks just like the next
		"ännn@h":           "ännn@h",
	} {
		if got := DisplayName(in); got != want {
			t.Errorf("DisplayName(%q) = %q, want %q", in, got, want)
		}
	}
}

// IJ-09: a long run of blanks makes any window break the line behind it, so
// that what follows stands in the first column.
func TestIJ09NoRunOfBlanksFillsALine(t *testing.T) {
	for _, blank := range []string{" ", "\u00a0", "\u3000", "\t", " \u200b", "\u2800", "\u00ad", "\t ", "\u034f"} {
		for _, text := range []string{
			Text("ok" + strings.Repeat(blank, 300) + "[bob@h2] yes"),
			Text("ok\n" + strings.Repeat(blank, 300) + "[bob@h2] yes"),
		} {
			if _, behind, _ := strings.Cut(text, "ok"); len([]rune(behind)) > maxBlanks+len("\n[bob@h2] yes") {
				t.Errorf("%q: %d characters are left: %q", blank, len([]rune(behind)), behind)
			}
		}
	}
	const code = "if x {\n\t\treturn      // tab\n}"
	if got := Text(code); got != code {
		t.Errorf("%q became %q", code, got)
	}
}

func TestTheGatewaysMarkIsNoPeersName(t *testing.T) { // IJ-09
	notice := NoticeToNetwork("meshgate", "one\ntwo", Envelope{To: "a@b", ID: "1"}).Child(stanza.NSClient, "body").Text()
	if want := "[meshgate] one\n  two"; notice != want {
		t.Errorf("notice %q, want %q", notice, want)
	}
	for _, i := range []linklocal.Instance{"meshgate", "Meshgate", "[meshgate]", "meshgate\u200b"} {
		if name := DisplayName(i); !strings.Contains(name, "@") {
			t.Errorf("%q is shown as %q, without an @", i, name)
		}
	}
}

func TestStatusMapsBothWays(t *testing.T) { // LL-10
	for show, want := range map[string]linklocal.Status{
		"": linklocal.Available, "chat": linklocal.Available, "away": linklocal.Away, "xa": linklocal.Away,
		"dnd": linklocal.DND, "nonsense": linklocal.Available,
	} {
		if got := Status(show); got != want {
			t.Errorf("Status(%q) = %q, want %q", show, got, want)
		}
	}
	for status, want := range map[linklocal.Status]string{
		linklocal.Available: "", "": "", linklocal.Away: "away", linklocal.DND: "dnd", "offline": "",
	} {
		if got := Show(status); got != want {
			t.Errorf("Show(%q) = %q, want %q", status, got, want)
		}
	}
}

func TestStatesHaveNoBody(t *testing.T) {
	for got, want := range map[*stanza.Element]string{
		StateToLAN("composing"): `<message type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/><x xmlns='jabber:x:event'><composing/><id/></x></message>`,
		StateToLAN("paused"):    `<message type='chat'><paused xmlns='http://jabber.org/protocol/chatstates'/><x xmlns='jabber:x:event'><id/></x></message>`,
		StateToNetwork("composing", Envelope{To: "a@b", Thread: "T"}): `<message type='chat' to='a@b'><thread>T</thread>` +
			`<composing xmlns='http://jabber.org/protocol/chatstates'/><via xmlns='urn:x-meshgate:via:0'/><no-store xmlns='urn:xmpp:hints'/></message>`,
	} {
		if got.String() != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRefusalsAndReceiptsLeaveFromToTheServer(t *testing.T) { // IJ-03
	st := parse(t, `<message from='a@b/c' to='gate@d/x' id='1' type='chat'><body>x</body></message>`)
	refusal := Refusal(&stanza.Error{Condition: stanza.Forbidden, Text: "no"}, st)
	for what, got := range map[string]*stanza.Element{"refusal": refusal, "receipt": Receipt(st)} {
		if got.Attr("from") != "" || got.Attr("to") != "a@b/c" {
			t.Errorf("%s: from %q to %q, want none and a@b/c", what, got.Attr("from"), got.Attr("to"))
		}
	}
	if got := Refusal(&stanza.Error{Condition: stanza.Forbidden}, refusal); got != nil {
		t.Errorf("an error was answered: %s", got)
	}
}

func TestLineIsCutBetweenCharacters(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"a\nb\t c ", 20, "a b c"},
		{"äöü", 6, "äöü"},
		{"äöüx", 6, "ä…"},
		{"aaaaaaa", 6, "aaa…"},
		{"", 5, ""},
	} {
		got := Line(tc.in, tc.limit)
		if got != tc.want || len(got) > tc.limit || !utf8.ValidString(got) {
			t.Errorf("Line(%q, %d) = %q, want %q", tc.in, tc.limit, got, tc.want)
		}
	}
}
