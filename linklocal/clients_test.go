package linklocal

import "testing"

func TestClientsAreKnownByTheirRecords(t *testing.T) {
	for _, tt := range []struct {
		client string
		text   []string
	}{
		{"libpurple 2.14.12", []string{"vc=!", "ver=2.14.12", "node=libpurple", "status=avail", "port.p2pj=5298", "1st=Alice", "txtvers=1"}},
		{"libpurple", []string{"txtvers=1", "node=libpurple", "ver=QgayPKawpkPSDYmwT/WM94uAlu0="}},
		{"Salut", []string{"txtvers=1", "node=http://telepathy.freedesktop.org/wiki/Salut", "hash=sha-1", "ver=QgayPKawpkPSDYmwT/WM94uAlu0="}},
		{"meshgate", []string{"txtvers=1", "node=https://meshgate.example/", "hash=sha-1", "ver=x"}},
		{"iChat or Adium", []string{"txtvers=1", "1st=A", "status=avail", "vc=CURS!XN"}},
		{"http://example.org/some-client-with-a-ve", []string{"node=http://example.org/some-client-with-a-very-long-name"}},
		{"", []string{"txtvers=1", "status=away"}},
		{"", nil},
	} {
		if got := clientOf(ParseTXT(tt.text)); got != tt.client {
			t.Errorf("clientOf(%q) = %q, want %q", tt.text, got, tt.client)
		}
	}
}
