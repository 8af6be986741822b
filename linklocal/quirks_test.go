package linklocal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
)

// transcripts are where the quirks of quirks.go show: in a transcript, with a
// line that is there because of the quirk, or, without a line, in a test.
// TestScripts plays the transcripts.
var transcripts = []struct{ quirk, where, line string }{
	{"answerVersion", "libpurple-2.14.12-calls.txt", "from='bob@h2' to='alice@h1'>"},
	{"answerVersion", "kopete-4-calls.txt", "from='bob@h2' to='alice@h1'>"},
	{"answerVersion", "salut-0.8-calls.txt", "from='bob@h2' to='alice@h1' version='1.0'><stream:features>"},
	{"ownVersion", "libpurple-2.14.12-is-called.txt", "from='bob@h2' to='alice@h1'>"},
	{"ownVersion", "libpurple-2.14.12-is-called.txt", "from='bob@h2' to='alice@h1' version='1.0'>"},
	{"ownVersion", "kopete-4-is-called.txt", "from='bob@h2' to='alice@h1' version='1.0'>"},
	{"saidTo", "ichat-calls.txt", "from='bob@h2'>"},
	{"saidTo", "libpurple-2.14.12-is-called.txt", `from="alice@h1" to="">`},
	{"answerAtOnce", "libpurple-2.14.12-calls.txt", "  who is it? claims \"alice@h1\""},
	{"declines", "salut-0.8-calls.txt", "  opened, TLS false"},
	{"declines", "salut-0.8-is-called.txt", "  opened, TLS false"},
	{"onlyPeer", "ichat-calls.txt", "  who is it? claims \"\""},
	{"looseAmpersands", "kopete-4-calls.txt", "<body>R&amp;D: http://wiki/?page=1&amp;edit=2 &amp;</body>"},
	{"ipv4First", "TestTargets", ""},
	{"offlineStatus", "TestStatusOfflineOfSalut", ""},
	{"programNotCaps", "TestNodeAndVerWithoutHash", ""},
	{"unpasteable", "TestNamesOfContactsCanBePasted", ""},
}

// Each quirk names its client and is shown by a transcript or a test.
func TestQuirksHaveTranscripts(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "quirks.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	documented := func(name string, doc *ast.CommentGroup) {
		if !strings.Contains(doc.Text(), "COMPAT ") {
			return
		}
		if !slices.ContainsFunc(transcripts, func(x struct{ quirk, where, line string }) bool { return x.quirk == name }) {
			t.Errorf("%s: no transcript, no test", name)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			documented(d.Name.Name, d.Doc)
		case *ast.GenDecl:
			if v, ok := d.Specs[0].(*ast.ValueSpec); ok {
				documented(v.Names[0].Name, d.Doc)
			}
		}
	}
	for _, x := range transcripts {
		if x.line == "" {
			continue // the test itself
		}
		b, err := os.ReadFile("testdata/" + x.where)
		if err != nil || !strings.Contains(string(b), x.line) {
			t.Errorf("%s: %q is not in %s (%v)", x.quirk, x.line, x.where, err)
		}
	}
}

func TestStatusOfflineOfSalut(t *testing.T) {
	if got := ParseTXT([]string{"txtvers=1", "status=offline", "msg=gone"}).Status; got != Away {
		t.Errorf("status %q", got)
	}
}

// The records are those of captures, in the order of the wire.
func TestNodeAndVerWithoutHash(t *testing.T) {
	for client, text := range map[string][]string{
		"libpurple 2.14.12": {"phsh=d5f7c2fd673a274fa1e005745ed9f7085e5cf66b", "msg=hello there", "jid=alice@example.org",
			"email=alice@example.org", "vc=!", "ver=2.14.12", "node=libpurple", "status=avail", "port.p2pj=5298", "last=Adams", "1st=Alice", "txtvers=1"},
		"Kopete 4": {"1st=Alice", "email=", "last=Adams", "node=kopete", "port.p2pj=5298", "status=avail", "txtvers=1", "vc=!", "ver=0.0.1"},
	} {
		p := ParseTXT(text)
		if p.Node != "" || p.Ver != "" || len(p.Extra) != 2 || p.First != "Alice" || p.Port != 5298 {
			t.Errorf("%s: %+v", client, p)
		}
	}
	with := ParseTXT([]string{"node=http://telepathy.freedesktop.org/wiki", "ver=QgayPKawpkPSDYmwT/WM94uAlu0=", "hash=sha-1"})
	if with.Node == "" || with.Ver == "" {
		t.Errorf("Salut: %+v", with)
	}
}

func TestNamesOfContactsCanBePasted(t *testing.T) {
	if got := presenceName(`a\b@c`, "gw"); got != "a-b-c@gw" {
		t.Errorf("name %q", got)
	}
}

func TestLooseAmpersands(t *testing.T) {
	for in, want := range map[string]string{
		"":               "",
		"plain":          "plain",
		"&":              "&amp;",
		"a & b":          "a &amp; b",
		"&&":             "&amp;&amp;",
		"&amp;&lt;&#34;": "&amp;&lt;&#34;",
		"&#xE9; &;":      "&#xE9; &amp;;",
		"?a=1&b=2;c":     "?a=1&amp;b=2;c",
		"&unknown;":      "&unknown;", // for the parser to refuse
		"&a#b;":          "&amp;a#b;",
	} {
		if got := string(looseAmpersands([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What is mended is XML, and what was XML is not touched.
func FuzzLooseAmpersands(f *testing.F) {
	f.Add("R&D")
	f.Add("&#233;&amp;&")
	f.Fuzz(func(t *testing.T, text string) {
		escaped := []byte("<body>" + stanza.Escape(text) + "</body>")
		if diff := cmp.Diff(escaped, looseAmpersands(escaped)); diff != "" {
			t.Error(diff)
		}
		once := looseAmpersands([]byte(text))
		if diff := cmp.Diff(once, looseAmpersands(once)); diff != "" {
			t.Error(diff)
		}
	})
}
