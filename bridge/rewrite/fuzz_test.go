package rewrite

import (
	"strings"
	"testing"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
)

// seeds feeds the stanzas of a transcript to a fuzz target.
func seeds(f *testing.F, name string) {
	var t testing.T
	transcript(&t, name, func(_ int, word, rest string) {
		if word == "in" {
			f.Add(rest, "bob@h2")
		}
	})
	f.Add(`<message><body>x</body></message>`, "eve] [bob@h2\u202e")
}

// written is what a receiver reads of st, or nil.
func written(t *testing.T, st *stanza.Element) *stanza.Element {
	out, err := stanza.Parse(stanza.Append(nil, st, stanza.NSClient), stanza.NSClient, stanza.Limits{Nodes: 1 << 20})
	if err != nil {
		t.Fatalf("%s: %v", st, err)
	}
	return out
}

func FuzzMessageToNetwork(f *testing.F) { // IJ-02, IJ-03, IJ-09
	seeds(f, "lan_to_network.txt")
	allowed := map[string]bool{
		stanza.NSClient + " body": true, stanza.NSClient + " thread": true,
		stanza.NSStates + " active": true, stanza.NSSID + " origin-id": true, nsVia + " via": true,
	}
	f.Fuzz(func(t *testing.T, in, name string) {
		st, err := stanza.Parse([]byte(in), stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		c := ParseLAN(st)
		if c.Kind != Words {
			if c.Body != "" && c.Kind != Invite {
				t.Fatalf("%v with body %q", c.Kind, c.Body)
			}
			return
		}
		shown := DisplayName(linklocal.Instance(name))
		if strings.ContainsAny(shown, "[]\n") || !strings.Contains(shown, "@") {
			t.Fatalf("%q is shown as %q", name, shown)
		}
		out := written(t, ToNetwork(c, shown, Envelope{To: "j@e", ID: "ID", Thread: "TH"}))
		if out.Attr("from") != "" || out.Attr("to") != "j@e" || out.Attr("type") != "chat" || len(out.Attrs) != 3 {
			t.Fatalf("attributes %v", out.Attrs)
		}
		for p := range out.Children() {
			if !allowed[p.Name.Space+" "+p.Name.Local] {
				t.Fatalf("payload %s", p)
			}
		}
		text := out.Child(stanza.NSClient, "body").Text()
		if strings.ContainsAny(text, "\r\v\f\u0085\u2028\u2029\u202e\u2066") {
			t.Fatalf("body %q", text)
		}
		for i, line := range strings.Split(text, "\n") {
			if i == 0 && !strings.HasPrefix(line, "["+shown+"] ") || i > 0 && !strings.HasPrefix(line, "  ") {
				t.Fatalf("line %d is %q, of %q", i, line, shown)
			}
		}
	})
}

func FuzzMessageToLAN(f *testing.F) { // IJ-09
	seeds(f, "network_to_lan.txt")
	f.Fuzz(func(t *testing.T, in, _ string) {
		st, err := stanza.Parse([]byte(in), stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		c := ParseNetwork(st)
		if c.Kind != Words {
			if c.Body != "" {
				t.Fatalf("%v with body %q", c.Kind, c.Body)
			}
			return
		}
		out := written(t, ToLAN(c, "Alice", noon))
		if out.Attr("from") != "" || out.Attr("to") != "" || out.Attr("type") != "chat" {
			t.Fatalf("attributes %v", out.Attrs)
		}
		if out.Child(stanza.NSEvent, "x").Child(stanza.NSEvent, "id") != nil {
			t.Fatal("x:event has an id: libpurple would drop the words")
		}
		text := out.Child(stanza.NSClient, "body").Text()
		for _, line := range strings.Split(text, "\n") {
			if startsLikeNotice(line) {
				t.Fatalf("line %q looks like the gateway's own", line)
			}
		}
		font := out.Child(stanza.NSXHTML, "html").Child(stanza.NSXHTML, "body").Child(stanza.NSXHTML, "font")
		if got := strings.ReplaceAll(htmlOf(font), "\u00a0", " "); got != strings.ReplaceAll(text, "\u00a0", " ") {
			t.Fatalf("markup says %q, body %q", got, text)
		}
	})
}

// htmlOf is the text of markup of ours, which holds nothing but <br/>.
func htmlOf(e *stanza.Element) string {
	var b strings.Builder
	for _, n := range e.Nodes {
		if n.Element != nil {
			b.WriteByte('\n')
		} else {
			b.WriteString(n.Text)
		}
	}
	return b.String()
}
