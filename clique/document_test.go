package clique

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
)

// salutText is what Salut sends for a text, as its own serializer wrote it.
const salutText = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
	`<message from="crone@desktop" to="Witchcraft" type="groupchat" xmlns="jabber:client"><body>TEXT</body>` +
	`<html xmlns="http://jabber.org/protocol/xhtml-im"><body xmlns="http://www.w3.org/1999/xhtml">TEXT</body></html></message>` + "\n"

// CQ-07: byte for byte.
func TestDocumentsAreAsSalutWritesThem(t *testing.T) {
	for _, tt := range []struct{ text, escaped string }{
		{"TEXT", "TEXT"},
		{`<b> & "it's"`, `&lt;b&gt; &amp; &quot;it's&quot;`},
		{"two\nlines\tand a tab", "two\nlines\tand a tab"},
		{"Hexe Zoë 🧹", "Hexe Zoë 🧹"},
		{"bell\a, half \xff", "bell\uFFFD, half \uFFFD"},
		{"\r", "&#13;"},
	} {
		got := string(appendDocument(nil, "crone@desktop", "Witchcraft", textMessage(tt.text)))
		if want := strings.ReplaceAll(salutText, "TEXT", tt.escaped); got != want {
			t.Errorf("%q is written as\n%s\nwant\n%s", tt.text, got, want)
		}
	}
	const emptyList = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<message from="a@b" to="R" type="groupchat" xmlns="jabber:client"><tubes xmlns="http://telepathy.freedesktop.org/xmpp/tubes"/></message>` + "\n"
	if got := string(appendDocument(nil, "a@b", "R", tubeList(nil))); got != emptyList {
		t.Errorf("an empty list of tubes is\n%s\nwant\n%s", got, emptyList)
	}
}

func TestDocumentsKeepWhatElseThereIs(t *testing.T) {
	in := parse(t, `<message xmlns='jabber:client' id='7' from='forged' to='elsewhere' type='normal' xml:lang='de' xmlns:q='urn:q' q:r='"&#10;'>`+
		`<body>x</body><via xmlns='urn:x-meshgate:0' site='a'>y</via></message>`)
	got := string(appendDocument(nil, "a@b", `R "<&>"`, in))
	want := declaration + "\n" + `<message from="a@b" to="R &quot;&lt;&amp;&gt;&quot;" type="normal" id="7" xml:lang="de" xmlns:a5="urn:q" a5:r="&quot;&#10;" xmlns="jabber:client">` +
		`<body>x</body><html xmlns="http://jabber.org/protocol/xhtml-im"><body xmlns="http://www.w3.org/1999/xhtml">x</body></html>` +
		`<via site="a" xmlns="urn:x-meshgate:0">y</via></message>` + "\n"
	if got != want {
		t.Errorf("written as\n%s\nwant\n%s", got, want)
	}
	if in.Attr("to") != "elsewhere" || len(in.Nodes) != 2 {
		t.Errorf("the stanza itself was changed: %v", in)
	}
	long := strings.Repeat("x", maxCopy+1)
	if got := string(appendDocument(nil, "a@b", "R", textMessage(long))); strings.Count(got, long) != 1 {
		t.Error("a long text is written twice")
	}
	own := parse(t, `<message><body>x</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><em>x</em></body></html></message>`)
	if got := string(appendDocument(nil, "a@b", "R", own)); strings.Count(got, "<html") != 1 || !strings.Contains(got, "<em>") {
		t.Errorf("with XHTML of its own it is written as %s", got)
	}
}

func parse(t testing.TB, text string) *stanza.Element {
	t.Helper()
	st, err := stanza.Parse([]byte(text), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// CQ-07: what Salut takes is taken.
func TestDocumentsAreTakenInAnyShape(t *testing.T) {
	want := parse(t, `<message from='f' to='R' type='groupchat'><body>x</body></message>`)
	for name, in := range map[string]string{
		"as ours":        strings.Replace(string(appendDocument(nil, "f", "R", want)), `<html xmlns="http://jabber.org/protocol/xhtml-im"><body xmlns="http://www.w3.org/1999/xhtml">x</body></html>`, "", 1),
		"bare":           `<message from='f' to='R' type='groupchat' xmlns='jabber:client'><body>x</body></message>`,
		"no namespace":   `<message from='f' to='R' type='groupchat'><body>x</body></message>`,
		"prefixes":       `<c:message xmlns:c='jabber:client' from='f' to='R' type='groupchat'><c:body>x</c:body></c:message>`,
		"white space":    "\n <?xml version='1.0'?>\r\n\t<message from='f' to='R' type='groupchat'><body>x</body></message>\n \n",
		"utf-8 said low": `<?xml version='1.0' encoding='utf-8' standalone='yes'?><message from='f' to='R' type='groupchat'><body>x</body></message>`,
		"cdata":          `<message from='f' to='R' type='groupchat'><body><![CDATA[x]]></body></message>`,
	} {
		got, err := parseDocument([]byte(in), "R")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// hostile are documents that nobody may be bothered with.
var hostile = map[string]string{
	"nothing":         "",
	"white space":     " \n",
	"text":            "hello",
	"unterminated":    `<message to='R'><body>x</body>`,
	"half a tag":      `<message to='R'`,
	"two roots":       `<message to='R'/><message to='R'/>`,
	"text behind":     `<message to='R'/>x`,
	"control":         "<message to='R'><body>\x01</body></message>",
	"control, said":   `<message to='R'><body>&#1;</body></message>`,
	"no utf-8":        "<message to='R'><body>\xff</body></message>",
	"byte order mark": "\ufeff<message to='R'/>",
	"other encoding":  `<?xml version='1.0' encoding='UTF-16'?><message to='R'/>`,
	"declared twice":  `<?xml version='1.0'?><?xml version='1.0'?><message to='R'/>`,
	"open end":        `<?xml version='1.0' <message to='R'/>`,
	"bomb":            `<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><message to='R'><body>&b;</body></message>`,
	"unknown entity":  `<message to='R'><body>&b;</body></message>`,
	"comment":         `<message to='R'><!-- x --></message>`,
	"deep":            `<message to='R'>` + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + `</message>`,
	"many":            `<message to='R'>` + strings.Repeat("<a/>", 5000) + `</message>`,
	"many attributes": `<message to='R'` + strings.Repeat(" a='b'", 5000) + `/>`,
	"a stream":        `<stream:stream to='R'/>`,
	"end tag":         `</stream:stream>`,
}

// CQ-07: each by itself, so one that is bad spoils nothing.
func TestHostileDocumentsAreRefused(t *testing.T) {
	for name, in := range hostile {
		if st, err := parseDocument([]byte(in), "R"); !errors.Is(err, errDocument) {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	for name, in := range map[string]string{
		"other room": `<message to='Q'/>`, "case": `<message to='r'/>`, "none": `<message/>`, "empty": `<message to=''/>`, "blank": `<message to='R '/>`,
	} {
		if st, err := parseDocument([]byte(in), "R"); !errors.Is(err, errAddress) {
			t.Errorf("to %s: %v, %v", name, st, err)
		}
	}
	const typing = `<message to='R'><body>hel</body><x xmlns='jabber:x:event'><composing/>ID</x></message>`
	if _, err := parseDocument([]byte(strings.Replace(typing, "ID", "<id>1</id>", 1)), "R"); !errors.Is(err, errTyping) {
		t.Errorf("a notice of typing: %v", err)
	}
	if _, err := parseDocument([]byte(strings.Replace(typing, "ID", "", 1)), "R"); err != nil {
		t.Errorf("a message that wants such notices: %v", err)
	}
}

// CQ-07: what is parsed and written is the same again, and nothing makes us panic.
func FuzzDocument(f *testing.F) {
	f.Add(salutText, "Witchcraft")
	f.Add(string(appendDocument(nil, "a@b", "R", tubeList([]Tube{aTube}))), "R")
	for _, in := range hostile {
		f.Add(in, "R")
	}
	f.Fuzz(func(t *testing.T, in, room string) {
		st, err := parseDocument([]byte(in), room)
		if err != nil {
			return
		}
		tubes, ok := parseTubes(st)
		if ok && len(tubes) > maxTubes {
			t.Errorf("%d tubes", len(tubes))
		}
		out := appendDocument(nil, "a@b", "Room", st)
		again, err := parseDocument(out, "Room")
		if err != nil {
			t.Fatalf("%q was written as %q: %v", in, out, err)
		}
		if twice := appendDocument(nil, "a@b", "Room", again); string(twice) != string(out) {
			t.Errorf("%q, and then %q", out, twice)
		}
	})
}
