package stanza

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const purple = `<message to='bob@h2' from='alice@h1' type='chat'><body>Hello Bob &amp; co &lt;3 ünïcödé</body>` +
	`<html xmlns='http://www.w3.org/1999/xhtml'><body><font>Hello <span style='font-weight: bold;'>Bob</span></font></body></html>` +
	`<x xmlns='jabber:x:event'><composing/></x></message>`

func TestWhatIsWrittenParsesToTheSameTree(t *testing.T) {
	for _, in := range []string{
		purple,
		`<a xmlns='x'><b xmlns=''/><c xmlns='jabber:client'>t</c></a>`,
		`<message xml:lang='de' p:q='r' xmlns:p='urn:p'/>`,
		`<stream:features><x xmlns='y'/></stream:features>`,
		`<m>a<![CDATA[<b>]]>c<d/>e</m>`,
		"<m a='&#10;&#9;x'>&#13;</m>",
	} {
		e, err := Parse([]byte(in), NSClient, Limits{})
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		out := Append(nil, e, NSClient)
		again, err := Parse(out, NSClient, Limits{})
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if d := cmp.Diff(e, again); d != "" {
			t.Errorf("%s became %s:\n%s", in, out, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"comment":        `<m><!-- c --></m>`,
		"instruction":    `<m><?x y?></m>`,
		"unknown entity": `<m>&lol;</m>`,
		"unclosed":       `<m><a></m>`,
		"two elements":   `<m/><m/>`,
		"text":           `hello`,
		"deep":           strings.Repeat("<m>", 40) + strings.Repeat("</m>", 40),
		"many":           `<m>` + strings.Repeat("<a/>", 5000) + `</m>`,
		"nothing":        ``,
	} {
		if e, err := Parse([]byte(in), NSClient, Limits{}); err == nil {
			t.Errorf("%s: parsed as %v, want an error", name, e)
		}
	}
}

func TestCharactersThatXMLCannotSayAreReplaced(t *testing.T) {
	e := New(NSClient, "body", Text("a\x00b\x1bc\xffd\uFFFE"))
	got, err := Parse(Append(nil, e, NSClient), NSClient, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\uFFFDb\uFFFDc\uFFFDd\uFFFD"; got.Text() != want {
		t.Errorf("text %q, want %q", got.Text(), want)
	}
}

func TestErrorsAreAnsweredOnce(t *testing.T) {
	st, _ := Parse([]byte(`<message from='a@b/c' to='d@e' id='1' type='chat'><body>x</body></message>`), NSClient, Limits{})
	refusal := &Error{Type: "cancel", Condition: ServiceUnavailable, Text: "no such peer"}
	reply := refusal.Reply(st)
	want := `<message type='error' to='a@b/c' from='d@e' id='1'><error type='cancel'>` +
		`<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no such peer</text></error></message>`
	if reply.String() != want {
		t.Errorf("reply %s\nwant  %s", reply, want)
	}
	if got := ParseError(reply); *got != *refusal {
		t.Errorf("parsed %+v, want %+v", got, refusal)
	}
	if again := refusal.Reply(reply); again != nil {
		t.Errorf("an error was answered: %s", again)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(purple)
	f.Add(`<m xmlns:a='b' a:c='d'>&#x10FFFF;</m>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := Parse([]byte(in), NSClient, Limits{})
		if err != nil {
			return
		}
		out := Append(nil, e, NSClient)
		again, err := Parse(out, NSClient, Limits{Depth: defaultDepth, Nodes: 2 * defaultNodes})
		if errors.Is(err, ErrTooComplex) {
			return // a namespace that a prefix had bound once is declared at each element
		}
		if err != nil {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		if d := cmp.Diff(e, again); d != "" {
			t.Fatalf("%q became %q:\n%s", in, out, d)
		}
	})
}
