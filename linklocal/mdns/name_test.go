package mdns

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// TestLabelSpelling: the spelling we build is the one miekg/dns unpacks to,
// for all bytes; else names of ours would not be found in packets. LL-06.
func TestLabelSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := string(rapid.SliceOfN(rapid.Byte(), 1, maxLabel).Draw(t, "label"))
		n := instanceName(raw, "_test._tcp.local.")
		b := make([]byte, 300)
		end, err := dns.PackDomainName(string(n), b, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[1 : 1+b[0]]); got != raw {
			t.Fatalf("%q is %q on the wire", raw, got)
		}
		back, _, err := dns.UnpackDomainName(b[:end], 0)
		if err != nil || name(back) != n {
			t.Fatalf("%q came back as %q (%v)", n, back, err)
		}
		label, rest := n.cut()
		if UnescapeLabel(label) != raw || rest != "_test._tcp.local." {
			t.Fatalf("%q cut to %q and %q", n, label, rest)
		}
	})
}

func TestUnescapeLabel(t *testing.T) {
	for in, want := range map[string]string{
		`alice\@h1`: "alice@h1", `h\195\169llo`: "héllo", `a\.b\\c\ d`: `a.b\c d`, `end\`: `end\`, `\12x`: "12x",
	} {
		if got := UnescapeLabel(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNamesCompareWithoutCase(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{{"Alice@H1", "alice@h1", true}, {"ÄRGER", "ärger", false}, {"a.b", "a\\.b", false}} {
		if got := testName(c.a).fold() == testName(c.b).fold(); got != c.same {
			t.Errorf("%q and %q same: %v", c.a, c.b, got)
		}
	}
}

func TestCutsOnRuneBoundary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, limit := rapid.String().Draw(t, "s"), rapid.IntRange(0, 70).Draw(t, "limit")
		got := cutBytes(s, limit)
		if len(got) > limit || !strings.HasPrefix(s, got) || !utf8.ValidString(got) || len(s)-len(got) > 3 && len(got) < limit-3 {
			t.Fatalf("%q cut at %d is %q", s, limit, got)
		}
		if n := numbered(s, 17); len(n) > maxLabel || !strings.HasSuffix(n, "-17") {
			t.Fatalf("numbered to %q", n)
		}
	})
}

func TestTypeNames(t *testing.T) {
	for typ, ok := range map[string]bool{
		"_presence._tcp": true, "_clique._udp": true, "_x._tcp.": true, "": false, "_x": false, "x._tcp": false,
		"_x._sctp": false, "_a.b._tcp": false, "_._tcp": false, "_x y._tcp": false, "_seventeen-letters._tcp": false,
	} {
		if n, err := typeName(typ); (err == nil) != ok || ok && n.typeString() != strings.TrimSuffix(typ, ".") {
			t.Errorf("%q: %q, %v", typ, n, err)
		}
	}
}

func TestTextRecords(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for _, c := range []struct {
		in, out []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"a=b", "", "c"}, []string{"a=b", "c"}},
		{[]string{long}, []string{long[:254]}},
	} {
		blob := textBlob(c.in)
		if blob == "" || !validTextBlob([]byte(blob)) {
			t.Errorf("%q: bad data %q", c.in, blob)
		}
		if got := textStrings(blob); strings.Join(got, "|") != strings.Join(c.out, "|") {
			t.Errorf("%q became %q", c.in, got)
		}
	}
}

// TestPacketsAreAsLargeAsCounted: the splitter's count is never too small.
func TestPacketsAreAsLargeAsCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		out := newSplitter(message{response: true})
		typ := mustType(testType)
		for range rapid.IntRange(1, 60).Draw(t, "groups") {
			n := instanceName(rapid.StringN(1, 20, maxLabel).Draw(t, "label"), typ)
			text := textBlob([]string{rapid.StringN(0, 100, 200).Draw(t, "text")})
			out.add(group{answers: []record{ptrRecord(typ, n)}, extras: []record{srvRecord(n, 1, "gw.local."), txtRecord(n, text)}})
		}
		for i := range out.out {
			b, ok := out.out[i].pack(false)
			if !ok || len(b) > packetSize {
				t.Fatalf("packet of %d bytes", len(b))
			}
			if i == len(out.out)-1 && len(b) > out.size.total {
				t.Fatalf("%d bytes, counted %d", len(b), out.size.total)
			}
		}
	})
}
