package bridge

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"meshgate/internal/icon"
	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeLAN takes what the hub sends and, until it is held up, reports it
// written from a goroutine of its own, as connections do.
type fakeLAN struct {
	mu        sync.Mutex
	hub       *Hub
	ctx       context.Context
	wg        sync.WaitGroup
	published map[linklocal.ContactID]linklocal.Presence
	sent      []linklocal.Outgoing
	heldUp    bool
	refuse    error // of Publish
}

func (f *fakeLAN) Publish(c linklocal.Contact) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	_, known := f.published[c.ID]
	f.published[c.ID] = c.Presence
	if !known {
		ev := linklocal.ContactPublished{ID: c.ID, Instance: linklocal.Instance(c.User + "@gw")}
		f.wg.Go(func() { f.hub.HandleLAN(f.ctx, ev) })
	}
	return nil
}

func (f *fakeLAN) Withdraw(id linklocal.ContactID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.published, id)
}

func (f *fakeLAN) Send(o linklocal.Outgoing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, o)
	if o.Done != nil && !f.heldUp {
		f.wg.Go(func() { o.Done(nil) })
	}
}

func (f *fakeLAN) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// bodies are the texts sent so far.
func (f *fakeLAN) bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, o := range f.sent {
		out = append(out, o.Stanza.Child(stanza.NSClient, "body").Text())
	}
	return out
}

type fakeServer struct {
	mu     sync.Mutex
	gate   chan struct{} // Send waits until it is closed; nil: does not wait
	sent   []*stanza.Element
	refuse error
	status string
	avatar **xmppc2s.Avatar // as last set; nil: never
}

func (f *fakeServer) SetAvatar(a *xmppc2s.Avatar) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.avatar = &a
}

// fakeNotes are kept in memory, by whoever is first: the hub's goroutine, then
// the test once the hub has ended.
type fakeNotes []string

func (f *fakeNotes) All() []string { return *f }
func (f *fakeNotes) Keep(s string) { *f = append(*f, s) }
func (f *fakeNotes) Drop(s string) { *f = slices.DeleteFunc(*f, func(n string) bool { return n == s }) }

func (f *fakeServer) Send(st *stanza.Element) error {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.sent = append(f.sent, st)
	return nil
}

func (f *fakeServer) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

func (f *fakeServer) SetPresence(_, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *fakeServer) bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, st := range f.sent {
		out = append(out, st.Child(stanza.NSClient, "body").Text())
	}
	return out
}

// A hubRig is a running hub between fakes, within a synctest bubble.
type hubRig struct {
	t     *testing.T
	hub   *Hub
	lan   *fakeLAN
	srv   *fakeServer
	notes *fakeNotes
	ctx   context.Context
	stop  func()
}

func runHub(t *testing.T, cfg Config) *hubRig { return runHubWith(t, cfg, new(fakeNotes)) }

func runHubWith(t *testing.T, cfg Config, notes *fakeNotes) *hubRig {
	r := runHubParts(t, cfg, Parts{Notes: notes})
	r.notes = notes
	return r
}

// runHubParts runs a hub between fakes, and these.
func runHubParts(t *testing.T, cfg Config, parts Parts) *hubRig {
	ctx, cancel := context.WithCancel(context.Background())
	r := &hubRig{t: t, ctx: ctx, srv: &fakeServer{}}
	r.lan = &fakeLAN{ctx: ctx, published: make(map[linklocal.ContactID]linklocal.Presence)}
	parts.LAN, parts.Server = r.lan, r.srv
	r.hub = New(cfg, parts)
	r.lan.hub = r.hub
	errc := make(chan error, 1)
	go func() { errc <- r.hub.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-errc; err != nil {
			t.Errorf("Run: %v", err)
		}
		r.lan.wg.Wait()
	}
	return r
}

func (r *hubRig) element(xml string) *stanza.Element {
	st, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

func (r *hubRig) begin() {
	r.hub.HandleServer(r.ctx, xmppc2s.Online{JID: jid.MustParse("gate@example.org/mesh")})
	r.hub.HandleServer(r.ctx, xmppc2s.ContactPresence{JID: jid.MustParse("alice@example.org/phone"), Available: true})
	r.hub.HandleLAN(r.ctx, linklocal.PeerAppeared{Peer: linklocal.Peer{Instance: "bob@h2"}})
	synctest.Wait()
}

func (r *hubRig) fromNet(body string, done func()) {
	st := r.element("<message from='alice@example.org/phone' id='1' type='chat'><body>" + stanza.Escape(body) + "</body></message>")
	r.hub.HandleServer(r.ctx, xmppc2s.Message{Stanza: st, Done: done})
}

func (r *hubRig) fromLAN(body string) {
	st := r.element("<message><body>" + stanza.Escape(body) + "</body></message>")
	r.hub.HandleLAN(r.ctx, linklocal.Received{To: "alice@example.org", From: "bob@h2", Stanza: st})
}

func TestHubCarriesMessagesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		defer r.stop()
		r.begin()
		finished := 0
		r.fromNet("@bob hello", func() { finished++ })
		synctest.Wait()
		r.fromLAN("hi yourself")
		synctest.Wait()
		if got := r.lan.bodies(); len(got) != 1 || got[0] != "hello" || finished != 1 {
			t.Errorf("the LAN got %q, finished %d times", got, finished)
		}
		if got := r.srv.bodies(); len(got) != 1 || got[0] != "[bob@h2] hi yourself" {
			t.Errorf("the server got %q", got)
		}
		s := r.hub.Stats()
		if s.FromLAN.Pending != 1 || s.FromNetwork.Ended[Delivered] != 1 || !s.Online || s.Peers != 1 || s.Mirrors != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestWhatTheOutboxDoesNotTakeIsToldToItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		defer r.stop()
		r.begin()
		r.srv.setRefuse(xmppc2s.ErrQueueFull)
		r.fromLAN("hi")
		synctest.Wait()
		if got := r.lan.bodies(); len(got) != 1 || !strings.Contains(got[0], "not delivered: “hi” (too much is waiting for the server)") {
			t.Errorf("the LAN got %q", got)
		}
		if l := r.hub.Stats().FromLAN; l.Ended[RefusedFull] != 1 || l.Pending != 0 || l.Entered != 1 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func TestAMessageIsNotFinishedBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		r.begin()
		r.lan.heldUp = true
		finished := 0
		r.fromNet("@bob hello", func() { finished++ })
		time.Sleep(time.Hour) // virtual
		synctest.Wait()
		if finished != 0 {
			t.Error("finished although nothing was written")
		}
		if l := r.hub.Stats().FromNetwork; l.Pending != 1 {
			t.Errorf("ledger %+v, want one pending", l)
		}
		r.stop()
		if finished != 0 {
			t.Error("finished by stopping: the server would forget the message")
		}
		r.lan.sent[0].Done(nil) // late: must not block or panic
	})
}

// The server sends the next message in the very moment in which one was written:
// there is room for it.
func TestWhatIsWrittenMakesRoomForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := office()
		cfg.Limits.PendingToLAN, cfg.Limits.ContactRate = 1, Rate{PerMinute: 1e6, Burst: 1e6}
		r := runHub(t, cfg)
		defer r.stop()
		r.begin()
		const count = 20
		left := count
		var next func()
		next = func() {
			if left--; left >= 0 {
				go r.fromNet("@bob hello", next)
			}
		}
		next()
		synctest.Wait()
		if l := r.hub.Stats().FromNetwork; l.Ended[Delivered] != count || l.Ended[RefusedFull] != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func TestPublishingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		defer r.stop()
		synctest.Wait()
		r.lan.setRefuse(errors.New("too many contacts"))
		r.begin()
		if len(r.lan.published) != 1 { // the concierge was there before
			t.Fatalf("published %v", r.lan.published)
		}
		r.lan.setRefuse(nil)
		time.Sleep(31 * time.Second) // virtual
		synctest.Wait()
		if _, ok := r.lan.published["alice@example.org"]; !ok {
			t.Errorf("published %v, want alice among them", r.lan.published)
		}
	})
}

func TestHandlersReturnWhenTheHubOrTheirContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		r.stop()
		r.hub.HandleLAN(context.Background(), linklocal.PeerVanished{Instance: "bob@h2"})
		r.hub.HandleServer(context.Background(), xmppc2s.Offline{})

		idle := New(office(), Parts{LAN: r.lan, Server: r.srv}) // not running
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		idle.HandleLAN(ctx, linklocal.PeerVanished{Instance: "bob@h2"})
		idle.HandleServer(ctx, xmppc2s.Offline{})
	})
}

func TestWhatStandsAtTheDoorAtTheEndStillGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		r.begin()
		r.srv.gate = make(chan struct{}) // a server session that breaks its word and blocks
		var wg sync.WaitGroup
		alive, cancel := context.WithCancel(context.Background())
		defer cancel()
		for range 20 { // enough that chance would not take them all
			wg.Go(func() {
				st := r.element("<message><body>last words</body></message>")
				r.hub.HandleLAN(alive, linklocal.Received{To: "alice@example.org", From: "bob@h2", Stanza: st})
			})
		}
		synctest.Wait() // one is stuck in the hub, the others stand at the door
		go func() {
			<-r.ctx.Done()
			synctest.Wait()
			close(r.srv.gate)
		}()
		r.stop()
		wg.Wait()
		if got := r.srv.bodies(); len(got) != 20 {
			t.Errorf("the server got %d messages, want 20", len(got))
		}
	})
}

func TestPingAnswersOnceTheHubIsDoneWithWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		r.begin()
		if err := r.hub.Ping(r.ctx); err != nil {
			t.Errorf("Ping = %v", err)
		}
		r.srv.gate = make(chan struct{}) // the hub hangs in it
		r.fromLAN("hi")
		ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
		defer cancel()
		if err := r.hub.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping of a hub that hangs = %v", err)
		}
		close(r.srv.gate)
		r.stop()
		if err := r.hub.Ping(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("Ping of a hub that has ended = %v", err)
		}
	})
}

// LL-15: pictures are made beside the hub, and the newest counts.
func TestHubMakesOnePictureOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runHub(t, office())
		defer r.stop()
		r.begin()
		r.hub.HandleLAN(r.ctx, linklocal.PeerAppeared{Peer: linklocal.Peer{Instance: "carol@h1"}})
		one, two := pixel(t, color.White), pixel(t, color.Black)
		r.hub.HandleLAN(r.ctx, linklocal.PeerIcon{Instance: "bob@h2", Icon: one})
		time.Sleep(31 * time.Second) // virtual
		synctest.Wait()
		if a := r.srv.avatar; a == nil || *a == nil || !bytes.Equal((*a).Data, one.Data) || (*a).Type != "image/png" {
			t.Errorf("of one peer: %v", a)
		}
		r.hub.HandleLAN(r.ctx, linklocal.PeerIcon{Instance: "carol@h1", Icon: two})
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if a := *r.srv.avatar; a == nil || bytes.Equal(a.Data, one.Data) || a.Type != "image/png" {
			t.Errorf("of two peers: %v", a)
		}
		if _, err := icon.Check((*r.srv.avatar).Data); err != nil {
			t.Errorf("of two peers: %v", err)
		}
		r.hub.HandleLAN(r.ctx, linklocal.PeerVanished{Instance: "bob@h2"})
		r.hub.HandleLAN(r.ctx, linklocal.PeerVanished{Instance: "carol@h1"})
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if a := r.srv.avatar; *a != nil {
			t.Errorf("of nobody: %v", *a)
		}
	})
}

func pixel(t *testing.T, c color.Color) *linklocal.Icon {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 32, 32))
	for i := range 32 * 32 {
		img.Set(i%32, i/32, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return &linklocal.Icon{Data: b.Bytes(), Type: "image/png"}
}

// LL-16: what the hub has told it does not tell again after a restart.
func TestLL16HubKeepsWhatItHasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notes := new(fakeNotes)
		for _, want := range []int{1, 0} {
			r := runHubWith(t, office(), notes)
			r.begin()
			r.hub.HandleLAN(r.ctx, linklocal.StreamOpened{Contact: "alice@example.org", Peer: "bob@h2"})
			r.fromLAN("hi")
			r.fromLAN("hi again")
			synctest.Wait()
			if got := r.lan.bodies(); len(got) != want || want > 0 && !strings.Contains(got[0], "neither encrypted nor authenticated") {
				t.Errorf("the LAN got %q, want %d warnings", got, want)
			}
			r.stop()
		}
		if len(*notes) != 1 {
			t.Errorf("notes %q", *notes)
		}
	})
}
