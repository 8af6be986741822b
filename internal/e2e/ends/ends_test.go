package ends

import (
	"fmt"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/stanza"
)

// Two clients talk, and what they have said is in the archive, on more pages
// than one.
func TestClientsTalkAndReadTheArchive(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*e2e.Host, e2e.ServerOptions) *e2e.Server{"Prosody": (*e2e.Host).Prosody, "ejabberd": (*e2e.Host).Ejabberd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(e2e.Local(t), e2e.ServerOptions{Users: map[string]string{"alice": e2e.UserPassword, "dave": e2e.UserPassword}})
			roots, err := Roots(s)
			if err != nil {
				t.Fatal(err)
			}
			const count = archivePage + 3
			came, archived := make(chan string, count), make(chan string, count)
			login := func(user string) *Client {
				c, err := Login(t.Context(), s, roots, user, func(_ time.Time, st *stanza.Element) {
					if text := st.Child(stanza.NSClient, "body").Text(); text != "" {
						came <- text
					}
					if text := Archived(st).Child(stanza.NSClient, "body").Text(); text != "" {
						archived <- text
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			alice, dave := login("alice"), login("dave")
			to := jid.MustParse(s.JID("alice"))
			for i := range count {
				if err := dave.Send(t.Context(), to, "", fmt.Sprint("word ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range count {
				if got, want := <-came, fmt.Sprint("word ", i); got != want {
					t.Fatalf("%q has come, want %q", got, want)
				}
			}
			if err := dave.Archive(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			for i := range count {
				select {
				case got := <-archived:
					if want := fmt.Sprint("word ", i); got != want {
						t.Fatalf("%q is in the archive, want %q", got, want)
					}
				default:
					t.Fatalf("word %d is not in the archive", i)
				}
			}
			for _, c := range []*Client{alice, dave} {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				<-c.Ended()
			}
		})
	}
}
