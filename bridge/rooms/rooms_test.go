package rooms

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is all that Rooms command, and what they have wanted.
type rig struct {
	mu      sync.Mutex
	lan     []string // bodies
	muc     []*stanza.Element
	entered []xmppc2s.Room
	joined  []clique.Room
	rows    map[string][]byte
	marks   []mark
	kept    map[string][]byte
	status  string
	lanErr  error
	srvErr  error
	busy    chan struct{} // if not nil: nothing is on the disk before it is closed
	diskErr error
}

func (r *rig) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rig) Join(room clique.Room) error {
	r.locked(func() { r.joined = append(r.joined, room) })
	return nil
}

func (r *rig) Rooms() []clique.RoomInfo { return nil }

func (r *rig) Send(room string, st *stanza.Element, done func(error)) {
	r.locked(func() {
		if body := bodyOf(st); body != "" && r.lanErr == nil {
			r.lan = append(r.lan, body)
		}
	})
	if done != nil {
		done(r.lanErr)
	}
}

// A rigServer is the server's side of a rig.
type rigServer struct{ *rig }

func (r rigServer) EnterRoom(room xmppc2s.Room) {
	r.locked(func() { r.entered = append(r.entered, room) })
}

func (r rigServer) SetRoomStatus(_ jid.JID, status string) { r.locked(func() { r.status = status }) }

func (r rigServer) Send(st *stanza.Element) error {
	r.locked(func() {
		if r.srvErr == nil {
			r.muc = append(r.muc, st)
		}
	})
	return r.srvErr
}

// A rigDisk is its disk.
type rigDisk struct{ *rig }

func (r rigDisk) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(r.rows)) {
			if !yield([]byte(k), r.rows[k]) {
				return
			}
		}
	}
}

func (r rigDisk) Write(done func(error), changes ...Change) {
	var busy chan struct{}
	var err error
	r.locked(func() { busy, err = r.busy, r.diskErr })
	written := func() {
		if err == nil {
			r.Later(changes...)
		}
		if done != nil {
			done(err)
		}
	}
	if busy == nil {
		written()
		return
	}
	go func() {
		<-busy
		written()
	}()
}

func (r rigDisk) Later(changes ...Change) {
	r.locked(func() {
		for _, c := range changes {
			if c.Value == nil {
				delete(r.rows, string(c.Key))
			} else {
				r.rows[string(c.Key)] = c.Value
			}
		}
	})
}

// A rigRing is its marks.
type rigRing struct{ *rig }

func (r rigRing) All() iter.Seq[[16]byte] {
	return func(yield func([16]byte) bool) {
		for _, m := range r.marks {
			if !yield(m) {
				return
			}
		}
	}
}

func (r rigRing) Add(m [16]byte) { r.locked(func() { r.marks = append(r.marks, m) }) }

// A rigSlates is where its snapshots are.
type rigSlates struct{ *rig }

func (r rigSlates) Get(room string) []byte { return r.kept[room] }

func (r rigSlates) Set(room string, data []byte) error {
	r.locked(func() { r.kept[room] = data })
	return nil
}

func bodyOf(st *stanza.Element) string { return st.Child(stanza.NSClient, "body").Text() }

func newRig() *rig { return &rig{rows: make(map[string][]byte), kept: make(map[string][]byte)} }

// run runs Rooms over the rig as long as f does.
func (r *rig) run(t *testing.T, cfg Config, f func(ctx context.Context, rooms *Rooms)) {
	t.Helper()
	if cfg.Rooms == nil {
		cfg.Rooms = []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"crone@*"}}}
	}
	cfg.Location = time.UTC
	rooms := New(cfg, Parts{LAN: r, Server: rigServer{r}, Past: rigDisk{r}, Marks: rigRing{r}, Snapshots: rigSlates{r}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- rooms.Run(ctx) }()
	f(ctx, rooms)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	rooms.HandleServer(t.Context(), xmppc2s.Offline{}) // behind the end nobody is held up
}

// enter has both sides be there, with one LAN member.
func enter(ctx context.Context, rooms *Rooms) {
	rooms.HandleClique(ctx, clique.Entered{Room: "Witchcraft"})
	rooms.HandleClique(ctx, clique.Joined{Room: "Witchcraft", Members: []string{"crone@h1"}})
	rooms.HandleServer(ctx, xmppc2s.Online{})
	rooms.HandleServer(ctx, xmppc2s.RoomEntered{Room: theMUC, Nick: "meshgate", Archive: true, Occupants: []xmppc2s.Occupant{{Nick: "alice"}}})
	rooms.HandleServer(ctx, xmppc2s.RoomCaughtUp{Room: theMUC})
	time.Sleep(3 * time.Second) // of the bubble: it has listened for other gateways by then
	synctest.Wait()
}

func lanSays(text string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "type", Value: "groupchat"}, stanza.New(stanza.NSClient, "body", stanza.Text(text)))
}

// CQ-13: a line of each side is on the other, and says who has said it.
func TestLinesPassBetweenTheSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, done := newRig(), 0
		r.run(t, Config{Site: "office"}, func(ctx context.Context, rooms *Rooms) {
			enter(ctx, rooms)
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 100, Stanza: lanSays("double, double")})
			rooms.HandleClique(ctx, clique.Received{Room: "Elsewhere", From: "crone@h1", FromID: 7, Number: 101, Stanza: lanSays("not here")})
			rooms.HandleServer(ctx, xmppc2s.RoomMessage{
				Room: theMUC, Nick: "alice", ID: "s1", Stanza: lanSays("toil and trouble"), Done: func() { done++ },
			})
			synctest.Wait()
			r.locked(func() {
				if len(r.muc) != 1 || bodyOf(r.muc[0]) != "[crone@h1] double, double" || r.muc[0].Attr("to") != theMUC.String() {
					t.Errorf("the MUC has %v", r.muc)
				}
				want := []string{"[meshgate] joined with witchcraft@conference.example.org; there: alice", "[alice] toil and trouble"}
				if diff := cmp.Diff(want, r.lan); diff != "" {
					t.Errorf("the LAN (-want +got):\n%s", diff)
				}
				if done != 1 || r.status != "LAN: crone@h1" {
					t.Errorf("%d done, our status is %q", done, r.status)
				}
			})
			i, ok := rooms.ByMUC(theMUC)
			want := Info{Name: "Witchcraft", MUC: theMUC, Members: []string{"crone@h1"}, Occupants: []string{"alice"}, State: "carrying"}
			if diff := cmp.Diff(want, i, cmp.Comparer(jid.JID.Equal), cmp.Comparer(func(a, b interface{ IsValid() bool }) bool { return a == b })); !ok || diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}
			if s := rooms.Stats(); s.FromLAN.Pending != 1 || s.FromMUC.Delivered != 1 || s.Carried != 1 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// IJ-05, IJ-09: who is not named in the configuration, or goes by the address of
// somebody else, is not heard in the MUC and not shown there, and the LAN is told so once.
func TestOnlyWhoIsAdmittedIsHeardInTheMUC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		cfg := Config{
			Rooms:    []Room{{Name: "Witchcraft", MUC: theMUC, Peers: []string{"*@h1"}, Quiet: true}},
			Contacts: []jid.JID{jid.MustParse("alice@h1")},
		}
		r.run(t, cfg, func(ctx context.Context, rooms *Rooms) {
			enter(ctx, rooms)
			rooms.HandleClique(ctx, clique.Joined{Room: "Witchcraft", Members: []string{"mallory@h2", "alice@h1"}})
			time.Sleep(time.Minute)
			rooms.HandleServer(ctx, xmppc2s.RoomOccupant{Room: theMUC, Nick: "carl", Here: true}) // of whom a quiet room is not told
			for i, from := range []string{"mallory@h2", "alice@h1", "mallory@h2", "crone@h1"} {
				time.Sleep(time.Minute)
				rooms.HandleClique(ctx, clique.Received{
					Room: "Witchcraft", From: from, FromID: 7, Number: rmulticast.PacketID(100 + i), Stanza: lanSays("from " + from),
				})
			}
			synctest.Wait()
			r.locked(func() {
				if len(r.muc) != 1 || bodyOf(r.muc[0]) != "[crone@h1] from crone@h1" || r.status != "LAN: crone@h1" {
					t.Errorf("the MUC has %v, our status is %q", r.muc, r.status)
				}
				want := []string{
					"[meshgate] mallory@h2: " + wordsNotAllowed, "[meshgate] alice@h1: " + wordsNotAllowed,
				}
				if diff := cmp.Diff(want, r.lan); diff != "" {
					t.Errorf("the LAN (-want +got):\n%s", diff)
				}
			})
			if s := rooms.Stats(); s.FromLAN.Refused != 3 || s.FromLAN.Pending != 1 {
				t.Errorf("%+v", s.FromLAN)
			}
		})
	})
}

// CQ-13: a snapshot says that lines were told, which then are not told to a run after a
// kill: so those are on the disk before it is kept. Without any it waits for no disk.
func TestASnapshotIsKeptWhenLinesBeforeItAreOnTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t, Config{}, func(ctx context.Context, rooms *Rooms) {
			enter(ctx, rooms)
			r.locked(func() { r.busy = make(chan struct{}) })
			rooms.HandleClique(ctx, clique.Snapshot{Room: "Witchcraft", Data: []byte("as it was")})
			if got := string(r.kept["Witchcraft"]); got != "as it was" {
				t.Errorf("with nothing to wait for %q is kept", got)
			}
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 100, Stanza: lanSays("double, double")})
			kept := make(chan struct{})
			go func() {
				rooms.HandleClique(ctx, clique.Snapshot{Room: "Witchcraft", Data: []byte("as it is")})
				close(kept)
			}()
			synctest.Wait()
			select {
			case <-kept:
				t.Error("a snapshot was done with while the line before it is not on the disk")
			default:
			}
			close(r.busy)
			<-kept
			if got := string(r.kept["Witchcraft"]); got != "as it is" {
				t.Errorf("%q is kept", got)
			}
			r.locked(func() { r.busy, r.diskErr = make(chan struct{}), errors.New("disk full") })
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 101, Stanza: lanSays("toil and trouble")})
			time.AfterFunc(time.Second, func() { close(r.busy) })
			rooms.HandleClique(ctx, clique.Snapshot{Room: "Witchcraft", Data: []byte("as it would be")})
			if got := string(r.kept["Witchcraft"]); got != "as it is" {
				t.Errorf("%q is kept, and the line before it is lost", got)
			}
		})
	})
}

// CQ-13: while the disk lacks a line that the MUC may not have no snapshot is kept, even if
// it takes other lines. What it lacks is written again; then, or when the MUC has the line,
// snapshots are kept as before.
func TestNoSnapshotIsKeptWhileALineIsNotOnTheDisk(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.run(t, Config{}, func(ctx context.Context, rooms *Rooms) {
				enter(ctx, rooms)
				says := func(number rmulticast.PacketID, text string) {
					rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: number, Stanza: lanSays(text)})
				}
				wantKept := func(snapshot, want string) {
					t.Helper()
					rooms.HandleClique(ctx, clique.Snapshot{Room: "Witchcraft", Data: []byte(snapshot)})
					if got := string(r.kept["Witchcraft"]); got != want {
						t.Errorf("%q is kept, want %q", got, want)
					}
				}
				wantKept("as it was", "as it was")
				r.locked(func() { r.diskErr = errors.New("disk full") })
				says(100, "double, double")
				wantKept("right after it", "as it was")
				r.locked(func() { r.diskErr = nil })
				says(101, "toil and trouble")
				wantKept("with another line", "as it was")
				synctest.Wait()
				wantKept("a moment later", "as it was")
				if ends {
					sent := r.muc[0]
					rooms.HandleServer(ctx, xmppc2s.RoomMessage{Room: theMUC, Nick: "meshgate", Own: true, ID: "s1", Stanza: sent, Done: func() {}})
				} else {
					time.Sleep(sendRetry)
				}
				synctest.Wait()
				wantKept("as it is", "as it is")
				if _, ok := r.rows[string(rowKey("Witchcraft", rowDue, 1))]; ok == ends {
					t.Errorf("it has ended: %t; the rows are %q", ends, r.rows)
				}
			})
		})
	}
}

// What a LAN member has said while the MUC was away is sent by the next run, and
// what was given to the LAN is not given again.
func TestTheNextRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, again := newRig(), 0
		line := xmppc2s.RoomMessage{Room: theMUC, Nick: "alice", ID: "s1", Stanza: lanSays("toil and trouble"), Done: func() { again++ }}
		r.run(t, Config{}, func(ctx context.Context, rooms *Rooms) {
			enter(ctx, rooms)
			rooms.HandleServer(ctx, line)
			rooms.HandleServer(ctx, xmppc2s.Offline{})
			rooms.HandleClique(ctx, clique.Received{Room: "Witchcraft", From: "crone@h1", FromID: 7, Number: 100, Stanza: lanSays("double, double")})
			rooms.HandleClique(ctx, clique.Snapshot{Room: "Witchcraft", Data: []byte("as it was")})
		})
		if len(r.muc) != 0 {
			t.Fatalf("sent without a session: %v", r.muc)
		}
		r.run(t, Config{}, func(ctx context.Context, rooms *Rooms) {
			enter(ctx, rooms)
			rooms.HandleServer(ctx, line)
			synctest.Wait()
		})
		if len(r.muc) != 1 || again != 2 || len(slices.DeleteFunc(r.lan, func(s string) bool { return !strings.HasPrefix(s, "[alice]") })) != 1 {
			t.Errorf("the MUC has %v, the LAN %v, done %d times", r.muc, r.lan, again)
		}
		if in := r.entered[1]; in.After != "s1" || in.Since.IsZero() || string(r.joined[1].Resume) != "as it was" {
			t.Errorf("entered %+v and %+v", in, r.joined[1])
		}
		if len(r.rows) == 0 || !strings.HasPrefix(string(r.rows[siteKey]), "site-") {
			t.Errorf("the site has no name: %v", r.rows)
		}
	})
}

// What a room has left that is not joined any more does not fill the disk.
func TestARoomThatIsNotJoinedAnyMoreLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.rows[string(rowKey("Coven", rowHeld, 3))] = []byte("{}")
		ours := string(rowKey("Witchcraft", rowMark, 0))
		r.rows[ours] = marshal(markRow{MUC: theMUC.String(), After: "s5"})
		r.run(t, Config{}, func(ctx context.Context, rooms *Rooms) { enter(ctx, rooms) })
		if len(r.rows[string(rowKey("Coven", rowHeld, 3))]) > 0 || !strings.Contains(string(r.rows[ours]), "s5") || len(r.rows[siteKey]) == 0 {
			t.Errorf("rows: %q", r.rows)
		}
	})
}
