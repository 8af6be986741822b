package main

import (
	"context"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

const (
	benchNick    = "meshgate" // of the gateway in the MUC
	roomMessages = 100        // of one measurement
	roomRate     = 20         // of them a second
)

// measureRooms prints what the gateway adds to a message between a room on the
// LAN and a MUC, beside one in the same MUC that nobody carries.
func measureRooms(ctx context.Context, tb e2e.TB, out sheet) {
	muc := jid.MustParse("bench@" + e2e.RoomService)
	opt := e2e.OfficeOptions{Users: []string{"alice", "dave"}, Config: e2e.NoLimits()}
	opt.Config["rooms"] = []any{map[string]any{"name": cliqueRoom.Name, "muc": muc.String(), "nick": benchNick, "make": true}}
	o := e2e.NewOffice(tb, opt)
	roots := must(ends.Roots(o.Server))(tb)
	owner := o.Host("h1").Remote(o.Server, "alice", e2e.RemoteOptions{Resource: "owner"})
	owner.MakeRoom(muc.String(), "owner")
	alice := &occupant{room: muc, nick: "alice", hears: []string{"/dave", "/" + benchNick}}
	dave := &occupant{room: muc, nick: "dave"}
	for _, who := range []*occupant{alice, dave} {
		who.in = make(chan arrival, 1<<16)
		who.Client = must(ends.Login(ctx, o.Server, roots, who.nick, who.handle))(tb)
		if err := who.Enter(ctx, muc, who.nick, 0); err != nil {
			tb.Fatalf("bench: %v", err)
		}
	}
	o.StartGateway(opt)
	owner.AwaitOccupant(muc.String(), benchNick)
	w := &roomMember{in: make(chan arrival, 1<<16), prefix: "[alice]"}
	w.Member = o.Host("h2").Member("bench", e2e.MemberOptions{Handle: w.handle})
	w.JoinRoom(e2e.RoomAt{Name: cliqueRoom.Name})
	w.AwaitMembersNamed(cliqueRoom.Name, []string{o.Mirror("meshgate")})

	times := map[string][]time.Duration{}
	ways := []way{{"direct", dave, alice}, {"lan_to_muc", w, alice}, {"muc_to_lan", alice, w}}
	for _, way := range ways { // the first messages of a room wait for what has just begun
		must(latency(ctx, way.from, way.to, roomMessages, roomRate))(tb)
	}
	for range rounds {
		for _, way := range ways {
			times[way.name] = append(times[way.name], must(latency(ctx, way.from, way.to, roomMessages, roomRate))(tb)...)
		}
	}
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		direct := quantile(times["direct"], q.at)
		out.figure("room_direct_"+q.name, ms(direct), "ms")
		for _, way := range ways[1:] {
			added := quantile(times[way.name], q.at) - direct
			out.figure("room_added_"+way.name+"_"+q.name, ms(added), "ms")
			out.figure("room_added_"+way.name+"_"+q.name+"_over_direct", float64(added)/float64(direct), "ratio")
		}
	}
}

// An occupant is an XMPP client in a MUC that notes when numbers arrive.
type occupant struct {
	*ends.Client
	room  jid.JID
	nick  string
	hears []string // only what comes from addresses that end so
	in    chan arrival
}

func (o *occupant) handle(at time.Time, st *stanza.Element) {
	if st.Attr("type") != "groupchat" {
		return
	}
	for _, end := range o.hears {
		if n, ok := number(st.Child(stanza.NSClient, "body").Text()); ok && strings.HasSuffix(st.Attr("from"), end) {
			o.in <- arrival{n, at}
		}
	}
}

func (o *occupant) send(n int) error         { return o.Say(context.Background(), o.room, body(n)) }
func (o *occupant) arrivals() <-chan arrival { return o.in }

// A roomMember is a member of a room on the LAN that notes when numbers arrive
// behind a prefix.
type roomMember struct {
	*e2e.Member
	prefix string
	in     chan arrival
}

func (m *roomMember) handle(e e2e.MemberEvent) {
	if n, ok := number(e.Body); ok && e.Ev == "said" && strings.HasPrefix(e.Body, m.prefix) {
		m.in <- arrival{n, time.Unix(0, e.At)}
	}
}

func (m *roomMember) send(n int) error {
	m.Say(cliqueRoom.Name, body(n))
	return nil
}

func (m *roomMember) arrivals() <-chan arrival { return m.in }
