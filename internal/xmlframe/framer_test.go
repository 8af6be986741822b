package xmlframe

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func cut(t *testing.T, f *Framer, pieces ...string) (got []string, err error) {
	t.Helper()
	for _, p := range pieces {
		frames, err := f.Feed([]byte(p))
		for _, fr := range frames {
			got = append(got, fr.Kind.String()+" "+string(fr.Bytes))
		}
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

const talk = `<?xml version="1.0" encoding="UTF-8" ?>` + "\n" +
	`<stream:stream xmlns="jabber:client" from="a>b"> ` +
	`<message to='x'><body>1 &lt; 2 > 0<![CDATA[ </message> ]] ]]></body></message>` + "\n" +
	`<presence/><iq a='/' /></stream:stream>`

var talkFrames = []string{
	`header <stream:stream xmlns="jabber:client" from="a>b">`,
	`element <message to='x'><body>1 &lt; 2 > 0<![CDATA[ </message> ]] ]]></body></message>`,
	`element <presence/>`,
	`element <iq a='/' />`,
	`close </stream:stream>`,
}

func TestFramesAreTheSameHoweverTheBytesArrive(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var pieces []string
		for rest := talk; rest != ""; {
			n := min(1+rnd.IntN(1+rnd.IntN(40)), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		f := New(0)
		got, err := cut(t, f, pieces...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(talkFrames, got); d != "" {
			t.Fatalf("seed %d:\n%s", seed, d)
		}
		if f.Pending() != 0 {
			t.Fatalf("seed %d: %d bytes pending", seed, f.Pending())
		}
	}
}

func TestWhatAStreamMayNotHoldIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"comment":                {"<s><a><!-- x --></a>", ErrRestricted},
		"doctype":                {"<!DOCTYPE s [<!ENTITY a 'b'>]><s>", ErrRestricted},
		"instruction":            {"<s><?php ?>", ErrRestricted},
		"cdata at stream level":  {"<s><![CDATA[x]]>", ErrRestricted},
		"text at stream level":   {"<s>hello", ErrText},
		"text before the stream": {"hello<s>", ErrText},
		"end before start":       {"</s>", ErrSyntax},
		"empty stream":           {"<s/>", ErrSyntax},
		"tag in tag":             {"<s><a <b>", ErrSyntax},
	} {
		if _, err := cut(t, New(0), tc.in); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

func TestLimitHoldsForEveryKindOfGrowth(t *testing.T) {
	for _, head := range []string{"<", "<s><a b='", "<s><a>", "<s><a><![CDATA[", "<s><a><b", "<?xml "} {
		f := New(1000)
		_, err := cut(t, f, head)
		for range 100 {
			if err == nil {
				_, err = f.Feed([]byte(strings.Repeat("x", 100)))
			}
		}
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("after %q: error %v, want ErrTooLarge", head, err)
		}
	}
}

func TestWhatIsTooLargeCanBeSkippedWithoutLosingTheNext(t *testing.T) {
	big := "<message to='x'><body>" + strings.Repeat("<a>&lt;<![CDATA[ </message> ]]></a>", 300) + "</body></message>"
	for size := 1; size < 300; size += 7 {
		f := NewOpen(1000)
		f.SkipLarge = true
		var pieces []string
		for rest := big + "<iq/>" + big + "</s>"; rest != ""; {
			n := min(size, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got, err := cut(t, f, pieces...)
		if err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		for i, want := range []string{"skipped <message to='x'>", "element <iq/>", "skipped <message to='x'>", "close </s>"} {
			if len(got) != 4 || !strings.HasPrefix(got[i], want) || len(got[i]) > headSize+10 {
				t.Fatalf("pieces of %d: frame %d of %d is %.60q, want %q", size, i, len(got), got[i], want)
			}
		}
		if f.Pending() != 0 {
			t.Errorf("%d bytes pending", f.Pending())
		}
	}
}

func TestWhiteSpaceKeepalivesTakeNoMemory(t *testing.T) {
	f := NewOpen(100)
	for range 1000 {
		if _, err := f.Feed([]byte(" \n")); err != nil {
			t.Fatal(err)
		}
	}
	if f.Pending() != 0 {
		t.Errorf("%d bytes pending, want 0", f.Pending())
	}
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte(talk), uint8(3))
	f.Add([]byte("<s><a><![CDATA[]]]]></a>"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		whole, errWhole := cut(t, New(1<<12), string(b))
		fr := New(1 << 12)
		var parts []string
		var errParts error
		for rest := b; len(rest) > 0 && errParts == nil; {
			k := min(int(n)+1, len(rest))
			var got []string
			got, errParts = cut(t, fr, string(rest[:k]))
			parts, rest = append(parts, got...), rest[k:]
		}
		if (errWhole == nil) != (errParts == nil) {
			t.Fatalf("whole: %v, in parts: %v", errWhole, errParts)
		}
		if d := cmp.Diff(whole, parts); d != "" {
			t.Fatal(d)
		}
	})
}
