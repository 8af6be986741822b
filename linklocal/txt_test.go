package linklocal

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// The TXT record of a libpurple 2.14.12 peer, as captured: avahi reverses
// the order of the keys.
var purpleTXT = []string{
	"phsh=d5f7c2fd673a274fa1e005745ed9f7085e5cf66b", "msg=hello there", "jid=alice@example.org",
	"email=alice@example.org", "vc=!", "ver=2.14.12", "node=libpurple", "status=avail",
	"port.p2pj=5298", "last=Adams", "1st=Alice", "txtvers=1",
}

func TestParseTXT(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want Presence
	}{
		{"libpurple", purpleTXT, Presence{
			Status: Available, Msg: "hello there", First: "Alice", Last: "Adams", Email: "alice@example.org",
			JID: "alice@example.org", PHSH: "d5f7c2fd673a274fa1e005745ed9f7085e5cf66b", VC: "!", Port: 5298,
			Extra: []string{"ver=2.14.12", "node=libpurple"}, // no entity capabilities without hash
		}},
		{"nothing", nil, Presence{}},
		{"one empty string, as RFC 6763 wants it", []string{""}, Presence{}},
		{"caps", []string{"node=n", "ver=v", "hash=sha-1", "ext=e"}, Presence{Node: "n", Ver: "v", Hash: "sha-1", Ext: "e"}},
		{"case of keys", []string{"STATUS=DND", "Msg=Hi"}, Presence{Status: DND, Msg: "Hi"}},
		{"first counts", []string{"msg=1", "MSG=2", "x=1", "X=2"}, Presence{Msg: "1", Extra: []string{"x=1"}}},
		{"no equals sign", []string{"msg", "flag"}, Presence{Extra: []string{"flag"}}},
		{"no key", []string{"=x", "msg=a=b"}, Presence{Msg: "a=b"}},
		{"offline", []string{"status=offline"}, Presence{Status: Away}},
		{"unknown status", []string{"status=xa"}, Presence{}},
		{"bad port", []string{"port.p2pj=99999"}, Presence{}},
		{"bad bytes", []string{"msg=a\xffb\x00c"}, Presence{Msg: "a\uFFFDb\uFFFDc"}},
	} {
		if diff := cmp.Diff(tt.want, ParseTXT(tt.in)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestParseTXTIsBounded(t *testing.T) {
	var bomb []string
	for i := range 30000 {
		bomb = append(bomb, fmt.Sprint("k", i))
	}
	if n := len(ParseTXT(bomb).Extra); n != maxExtra {
		t.Errorf("%d keys kept", n)
	}
}

func TestAppendTXTOrder(t *testing.T) {
	p := Presence{
		Status: DND, Msg: "m", Nick: "n", First: "f", Last: "l", Email: "e", JID: "j", PHSH: "p", VC: "!",
		Node: "N", Ver: "V", Hash: "sha-1", Ext: "x", Port: 7, Extra: []string{"a=b", "flag", "jid=smuggled", "=x", ""},
	}
	want := []string{"txtvers=1", "1st=f", "last=l", "nick=n", "email=e", "jid=j", "status=dnd", "msg=m", "phsh=p", "vc=!",
		"node=N", "ver=V", "hash=sha-1", "ext=x", "port.p2pj=7", "a=b", "flag"}
	if diff := cmp.Diff(want, AppendTXT(nil, p)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"txtvers=1"}, AppendTXT(nil, Presence{Node: "N", Ver: "V"})); diff != "" {
		t.Error(diff)
	}
}

func TestLongTextIsCutBetweenRunes(t *testing.T) {
	got := AppendTXT(nil, Presence{Msg: strings.Repeat("é", 200)})[1]
	if len(got) > maxTXTString || len(got) < maxTXTString-1 || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestPublishedRecordIsBounded(t *testing.T) {
	var p Presence
	for i := range 1000 {
		p.Extra = append(p.Extra, fmt.Sprintf("k%d=%s", i, strings.Repeat("x", 300)))
	}
	size := 0
	for _, s := range AppendTXT(nil, p) {
		size += 1 + len(s)
	}
	if size > maxTXT || size < maxTXT-256 {
		t.Errorf("%d bytes", size)
	}
}

func FuzzParseTXT(f *testing.F) {
	f.Add(strings.Join(purpleTXT, "\n"))
	f.Add("status=OFFLINE\nnode=x\nflag\n=\nport.p2pj=70000")
	f.Fuzz(func(t *testing.T, in string) {
		p := ParseTXT(strings.Split(in, "\n"))
		out := AppendTXT(nil, p)
		for _, s := range out {
			if len(s) > maxTXTString || !utf8.ValidString(s) {
				t.Errorf("string %q", s)
			}
		}
		// What we publish of what we read is read as the same once more.
		q := ParseTXT(out)
		if diff := cmp.Diff(AppendTXT(nil, q), out); diff != "" {
			t.Error(diff)
		}
	})
}
