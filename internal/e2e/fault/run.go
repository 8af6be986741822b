package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
)

const (
	settle   = 500 * time.Millisecond // what was written to the gateway before is read and stored
	progress = 90 * time.Second       // without any arrival, while something is missing: there will be none
	calm     = 10 * time.Second       // the same, where only what may be gone is missing
)

// A run is a plan that is carried out on one server. It belongs to one
// goroutine, but for what the ends do.
type run struct {
	plan
	tb       e2e.TB
	ejabberd bool
	seed     uint64
	rng      *rand.Rand

	o        *e2e.Office
	proxy    *e2e.Proxy
	control  *control
	gateways []*e2e.Proc // all processes that there have been
	servers  []*e2e.Proc
	story    []moment // what harm was done
	lan      []speaker
	net      []*netEnd
	began    time.Time
	late     bool // a contact had to log in again for what its server had
}

// A speaker is somebody on the LAN.
type speaker interface {
	presence() string        // name
	run(ctx context.Context) // sends what is to be sent
	says() *way
	hush() // nothing is sent, until …
	speak()
	killed(at time.Time)         // the gateway was
	readOut(ctx context.Context) // waits until all that it had written is read
}

// A result is what a run has shown.
type result struct {
	run     *run
	up      verdict // LAN to network
	down    verdict
	lost    []string // the messages, by the tag of their way and their numbers
	doubled []string
	took    time.Duration
	balance balance

	lostSessions, resumed int
}

// carryOut opens an office and has everybody talk while the plan's harm is done.
func carryOut(ctx context.Context, tb e2e.TB, p plan, ejabberd bool, seed uint64) result {
	tb.Helper()
	r := &run{plan: p, tb: tb, ejabberd: ejabberd, seed: seed, rng: rand.New(rand.NewPCG(seed, 0))}
	if r.nasty && ejabberd {
		r.window = nastyEjabberdWindow
	}
	if r.archive && ejabberd {
		r.messages = min(r.messages, mnesiaMost)
	}
	tb.Cleanup(func() { // behind the lab's
		if tb.Failed() {
			tb.Logf("fault: with seed %d:\n%s", seed, r.tale())
		}
	})
	r.open(ctx)
	ctx, cancel := context.WithCancel(ctx)
	var people sync.WaitGroup
	defer people.Wait()
	defer cancel()
	for i := range r.pairs {
		people.Go(func() { r.lan[i].run(ctx) })
		people.Go(func() { r.net[i].run(ctx) })
	}
	r.greet(ctx)
	r.began = time.Now()
	r.harm(ctx)
	r.awaitCalm(ctx)
	r.collect(ctx)
	r.last(ctx)
	res := r.result(ctx)
	if err := r.accepted(ctx); err != nil {
		r.note("the archive: %v", err)
	}
	res.judge()
	return res
}

func (r *run) open(ctx context.Context) {
	var users []string
	var contacts []any
	opt := e2e.OfficeOptions{Ejabberd: r.ejabberd, Config: e2e.NoLimits(), Gateway: e2e.GatewayOptions{Verbose: true}}
	for i := range r.pairs {
		user := contactName(i)
		users = append(users, user)
		contacts = append(contacts, map[string]any{"jid": user + "@" + e2e.Domain, "name": user, "offline": "show"})
	}
	opt.Users = append(users, owner)
	opt.Config["contacts"] = contacts
	opt.Server = func(s *e2e.ServerOptions) { r.serverOptions(s, users) }
	opt.Through = func(s *e2e.Server) string {
		if r.proxy == nil {
			r.proxy = s.Host().Proxy(s.LoopbackAddr())
		}
		return r.proxy.Addr()
	}
	r.o = e2e.NewOffice(r.tb, opt)
	r.o.Avahi()
	h1 := r.o.Host("h1")
	socket := h1.Path("control.sock")
	opt.Config["control"] = socket
	r.control = newControl(socket, h1.Addr())
	if r.room {
		opt.Config["rooms"] = []any{map[string]any{"name": roomName, "muc": mucOf(r.o.Server), "make": true}}
		r.makeRoom()
	}
	r.makeEnds(ctx)
	r.o.StartGateway(opt)
	if r.room {
		r.meet()
	}
	r.gateways, r.servers = append(r.gateways, r.o.Gateway.Proc), append(r.servers, r.o.Server.Proc)
}

// note adds to the story.
func (r *run) note(format string, args ...any) {
	r.story = append(r.story, moment{time.Now(), fmt.Sprintf(format, args...)})
}

// archiveRoom lets Prosody's archive of files hold all of the gateway's messages:
// at its limit, 10,000, it reads and writes the whole file again and again.
const archiveRoom = "storage_archive_item_limit = 100000\n"

func (r *run) serverOptions(s *e2e.ServerOptions, users []string) {
	for _, user := range users {
		s.Friends = append(s.Friends, [2]string{e2e.GatewayUser, user})
	}
	s.NoArchive = !r.archive
	if !r.ejabberd {
		s.Extra = archiveRoom
	}
	if r.nasty {
		s.Hibernation, s.MaxQueue = nastyHibernation, nastyQueue
		if r.ejabberd {
			s.MaxQueue = nastyEjabberdQueue
		}
	}
	if r.rate {
		s.Rate = "10kb/s"
		if r.ejabberd {
			s.Rate = "3000"
		}
	}
}

// makeEnds makes the pairs: the peers are known and the contacts online before
// the gateway looks.
func (r *run) makeEnds(ctx context.Context) {
	roots, err := ends.Roots(r.o.Server)
	if err != nil {
		r.tb.Fatalf("fault: %v", err)
	}
	for i := range r.pairs {
		up := newWay(fmt.Sprintf("up%d", i), 1, r.window, r.sizes)
		down := newWay(fmt.Sprintf("down%d", i), 0, r.window, r.sizes)
		down.record.toLAN = true
		contact := &netEnd{
			server: r.o.Server, roots: roots, user: contactName(i),
			gateway: jid.MustParse(r.o.GatewayJID()), out: down, in: up,
		}
		if r.room {
			contact.room = jid.MustParse(mucOf(r.o.Server))
		}
		if err := contact.login(ctx); err != nil {
			r.tb.Fatalf("fault: %v", err)
		}
		r.lan, r.net = append(r.lan, r.speaker(i, up, down)), append(r.net, contact)
	}
}

func contactName(i int) string { return "contact" + strconv.Itoa(i) }

// speaker makes the LAN's end of a pair.
func (r *run) speaker(i int, up, down *way) speaker {
	if r.room {
		return newMember(r.o, i, up, down)
	}
	peer := &lanEnd{
		host: r.o.Host("h2"), name: fmt.Sprintf("peer%d@h2", i), mirror: r.o.Mirror(contactName(i)),
		control: r.control, out: up, in: down,
	}
	if err := peer.publish(); err != nil {
		r.tb.Fatalf("fault: %v", err)
	}
	return peer
}

// greet has each peer say one word, and then each contact: without an address
// it goes to whom the contact has talked with.
func (r *run) greet(ctx context.Context) {
	r.awaitAll(ctx, "the peers' greetings", r.ups())
	for _, w := range r.downs() {
		w.more(1)
	}
	r.awaitAll(ctx, "the contacts' greetings", r.downs())
	for _, w := range append(r.ups(), r.downs()...) {
		w.more(r.messages/r.pairs - 2) // one more is to come at the end
	}
}

// last cuts the connection once more and has everybody say one more word: what
// would come twice has come before it.
func (r *run) last(ctx context.Context) {
	r.proxy.Cut(e2e.RST)
	for _, w := range append(r.ups(), r.downs()...) {
		w.more(1)
	}
	r.awaitCalm(ctx)
}

// collect has contacts for whom something is missing log in again, for what
// their server still keeps for them.
//
// COMPAT ejabberd 23.01: what comes in the moment in which a client logs in may
// be kept until it logs in again.
func (r *run) collect(ctx context.Context) {
	for _, e := range r.net {
		missing := len(judge(e.in.snapshot()).lost)
		if missing == 0 || ctx.Err() != nil {
			continue
		}
		r.note("%s misses %d messages and logs in again", e.user, missing)
		e.gate.close()
		if err := e.current().Close(); err != nil {
			r.note("%s: %v", e.user, err)
		}
		<-e.current().Ended()
		if err := e.login(ctx); err != nil {
			r.tb.Fatalf("fault: %v", err)
		}
		e.gate.open()
		r.late = true
	}
	if r.late {
		r.awaitCalm(ctx)
	}
}

func (r *run) ups() (ways []*way) {
	for _, e := range r.lan {
		ways = append(ways, e.says())
	}
	return ways
}

func (r *run) downs() (ways []*way) {
	for _, e := range r.net {
		ways = append(ways, e.out)
	}
	return ways
}

// awaitAll waits until all that is to be sent has come.
func (r *run) awaitAll(ctx context.Context, what string, ways []*way) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*e2e.Patience)
	defer cancel()
	for _, w := range ways {
		if w.await(ctx, func() bool { return w.base >= w.total }) != nil {
			r.tb.Fatalf("fault: %s: %d of %d of %s have come", what, w.base, w.total, w.tag)
		}
	}
}

// past is how many messages have come in all, or are not waited for any more.
func (r *run) past() (n int) {
	for _, w := range append(r.ups(), r.downs()...) {
		n += w.past()
	}
	return n
}

// awaitCalm waits until all have come, or until nothing comes any more.
func (r *run) awaitCalm(ctx context.Context) {
	begin := time.Now()
	for ctx.Err() == nil {
		var all verdict
		latest := begin
		sent := true
		for _, w := range append(r.ups(), r.downs()...) {
			all.add(judge(w.snapshot()))
			at, done := w.quietSince()
			sent = sent && done
			if at.After(latest) {
				latest = at
			}
		}
		quiet := time.Since(latest)
		if sent && (all.complete() || len(all.lost) == 0 && quiet > calm) || quiet > progress {
			return
		}
		pause(ctx, again)
	}
}

// result is what there is beside the messages.
func (r *run) result(ctx context.Context) result {
	res := result{run: r, took: time.Since(r.began)}
	if !r.room { // which has ledgers of its own
		var err error
		if res.balance, err = r.control.awaitBalance(ctx); err != nil {
			r.tb.Errorf("fault: %v", err)
		}
	}
	res.lostSessions, res.resumed = r.sessions()
	return res
}

// judge judges what has come.
func (res *result) judge() {
	for i := range res.run.pairs {
		res.take(&res.up, res.run.lan[i].says())
		res.take(&res.down, res.run.net[i].out)
	}
}

// take judges a way and adds what it finds.
func (res *result) take(sum *verdict, w *way) {
	v := judge(w.snapshot())
	sum.add(v)
	res.lost, res.doubled = append(res.lost, w.spans(v.lost)...), append(res.doubled, w.spans(v.doubled)...)
}
