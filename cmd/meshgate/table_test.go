package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"meshgate/bridge/status"
)

var noon = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func somePeers() []status.Peer {
	return []status.Peer{
		{Name: "bob@h2", Client: "libpurple 2.14.12", Status: "dnd", Message: "at lunch", Addrs: addrs("fe80::1%eth0", "10.0.0.2"),
			Port: 5298, Links: []string{"eth0", "wlan0"}, Since: noon.Add(-5 * time.Minute)},
		{Name: "Alice@gw", Own: "alice@example.org", Client: "meshgate", Status: "avail", Addrs: addrs("10.0.0.1"), Since: noon.Add(-50 * time.Hour)},
		{Name: "Dr. Ünï X@h3", Status: "away", Since: noon.Add(-3 * time.Second)},
	}
}

func TestPeerTable(t *testing.T) {
	want := `NAME          CLIENT             STATUS          ADDRESS      LINK        FOR
Alice@gw      this gateway       here            10.0.0.1                 2d
bob@h2        libpurple 2.14.12  busy: at lunch  10.0.0.2 +1  eth0,wlan0  5m
Dr. Ünï X@h3  ?                  away            ?                        3s
`
	if diff := cmp.Diff(want, peerTable(somePeers(), noon, 80)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if got := peerTable(nil, noon, 80); got != "nobody is on the LAN\n" {
		t.Errorf("of nobody: %q", got)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	peers := somePeers()
	peers[0].Message = strings.Repeat("very long ", 30)
	peers[2].Name = strings.Repeat("長", 21) // 63 bytes, 42 columns
	for _, columns := range []int{60, 80, 132} {
		for _, line := range strings.Split(peerTable(peers, noon, columns), "\n") {
			if n := cells(line); n > columns {
				t.Errorf("%d columns, want at most %d: %q", n, columns, line)
			}
		}
	}
}

// What a peer calls itself and says can be anything; on the terminal it is text.
func TestHostileNamesDoNothingToTheTerminal(t *testing.T) {
	hostile := "\x1b[2J\x1b]0;owned\x07a\u202eb\u200b\r\n\u009b31mc\x00" + "e\u0301\u0301\u0301\u0301\u0301"
	want := "�[2J�]0;owned�a�b�� �31mc�e\u0301\u0301"
	if got := plain(hostile); got != want {
		t.Errorf("plain: %q, want %q", got, want)
	}
	p := status.Peer{Name: hostile, Client: hostile, Status: hostile, Message: hostile, Links: []string{hostile}, Since: noon}
	for _, text := range []string{
		peerTable([]status.Peer{p}, noon, 200), changeLine(status.Change{Op: status.Here, Peer: p}, noon), changeLine(status.Change{Op: status.Gone, Peer: p}, noon),
	} {
		if strings.ContainsAny(text, "\x1b\x07\r\x00\u009b\u202e") {
			t.Errorf("escapes came through: %q", text)
		}
		if n := strings.Count(text, "\n"); n > 2 {
			t.Errorf("%d lines: %q", n, text)
		}
	}
}

func TestFitTakesExactlyItsColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := plain(rapid.String().Draw(t, "text")), rapid.IntRange(1, 30).Draw(t, "columns")
		if got := fit(s, n); cells(got) != n || !utf8.ValidString(got) {
			t.Errorf("fit(%q, %d) = %q, %d columns", s, n, got, cells(got))
		}
	})
}

func TestScreenful(t *testing.T) {
	for _, tt := range []struct {
		text string
		rows int
		want string
	}{
		{"1\n2\n3\n4\n5\n", 0, "1\n2\n3\n4\n5\n"}, // not known
		{"1\n2\n3\n4\n5\n", 6, "1\n2\n3\n4\n5\n"},
		{"1\n2\n3\n4\n5\n", 5, "1\n2\n3\n… and 2 more\n"},
		{"1\n2\n3\n4\n5\n", 1, "1\n2\n… and 3 more\n"},
		{"1\n", 1, "1\n"},
	} {
		if got := screenful(tt.text, tt.rows); got != tt.want {
			t.Errorf("%q on %d rows: %q, want %q", tt.text, tt.rows, got, tt.want)
		}
	}
}

// What is JSON stays the same JSON, and can be shown.
func TestJSONHasNothingForATerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := strings.ToValidUTF8(rapid.String().Draw(t, "words"), "") + "\u009b2J\u202e\x7f\x1b\U000e0001é"
		var out bytes.Buffer
		if err := writeJSON(process{stdout: &out}, words); err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSuffix(out.String(), "\n"); strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", text)
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != words {
			t.Errorf("%q, %v; want %q", got, err, words)
		}
	})
}

func TestChangeLines(t *testing.T) {
	p := somePeers()[0]
	for want, c := range map[string]status.Change{
		"12:00:00 + bob@h2  libpurple 2.14.12  busy: at lunch  10.0.0.2 +1  eth0,wlan0\n": {Op: status.Here, Peer: p},
		"12:00:00 - bob@h2\n": {Op: status.Gone, Peer: p},
	} {
		if got := changeLine(c, noon); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}
