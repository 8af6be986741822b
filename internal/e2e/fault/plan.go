package main

import (
	"slices"
	"time"
)

// A plan is one kind of run. Its counts are those of the full size.
type plan struct {
	name     string
	about    string
	messages int   // in each direction, over all pairs
	pairs    int   // a LAN peer and a contact each
	window   int   // messages of one way that may be under way
	sizes    []int // bytes of the texts, in turn
	cuts     []cut // drawn from, evenly
	count    int   // of cuts
	kills    int   // kill -9 of the gateway
	restarts int   // of the server, in order
	crashes  int   // of the server
	lanCuts  int   // the gateway is cut off from the LAN for a moment
	room     bool  // all talk in one room, which is on both sides
	archive  bool  // the server keeps its archive, slow as it is
	nasty    bool  // the server keeps few stanzas, and a lost session for 3 s
	rate     bool  // the server reads 3 kB/s (ejabberd) or 10 kB/s (Prosody)
}

// plans are all runs, in their order.
var plans = []plan{
	{
		name: "cuts", about: "the gateway's connection is cut again and again",
		messages: 10_000, pairs: 4, window: 50, sizes: []int{100, 3000}, count: 200,
		cuts: []cut{reset, reset, reset, fin, halfUp, halfUp, halfDown, halfDown, stall, stall, silent},
	},
	{
		name: "large", about: "texts of 16 kB, and cuts within a stanza",
		messages: 1000, pairs: 2, window: 10, sizes: []int{16_000}, count: 50,
		cuts: []cut{halfUp, halfUp, halfDown, halfDown, reset},
	},
	{
		name: "kills", about: "kill -9 of the gateway",
		messages: 10_000, pairs: 4, window: 50, sizes: []int{100, 3000}, kills: 30,
	},
	{
		name: "restarts", about: "restarts of the server, and kill -9 of the gateway",
		messages: 10_000, pairs: 4, window: 50, sizes: []int{100, 3000}, kills: 30, restarts: 5, archive: true,
	},
	{
		name: "nasty", about: "a server that keeps next to nothing, and outages longer than it keeps it",
		messages: 2000, pairs: 4, window: 20, sizes: []int{100, 3000}, count: 30, archive: true, nasty: true,
		cuts: []cut{reset, halfUp, halfDown, stall, outage},
	},
	{
		name: "slow", about: "a server that reads slowly, and cuts",
		messages: 200, pairs: 2, window: 20, sizes: []int{100, 1000}, count: 10, rate: true,
		cuts: []cut{reset, halfUp, halfDown, stall},
	},
	{
		name: "crash", about: "kill -9 of the server, which forgets what it has acknowledged",
		messages: 1000, pairs: 2, window: 20, sizes: []int{100, 3000}, crashes: 1, archive: true,
	},
	{
		name: "rooms", about: "a room that is on both sides: cuts on both, restarts of the server, and kill -9 of the gateway",
		messages: 2000, pairs: 2, window: roomWindow, sizes: []int{100, 3000}, count: 30, kills: 15, restarts: 3, lanCuts: 5, archive: true, room: true,
		cuts: []cut{reset, reset, fin, halfUp, halfUp, halfDown, halfDown, stall, silent},
	},
}

// mayRepeat reports whether the plan has something after which a message must
// be sent again of which nobody knows whether it has arrived: texts that break
// Prosody's sessions, sessions that are lost, a server that forgets.
//
// COMPAT ejabberd 23.01: a connection that a session is resumed away from goes
// on with the stanzas that it has read already, and has not counted.
func (p plan) mayRepeat(ejabberd bool) bool {
	return ejabberd || slices.Max(p.sizes) > 8000 || p.nasty || p.restarts > 0 || p.crashes > 0
}

// small is the plan in the size of every day.
func (p plan) small() plan {
	p.pairs = min(p.pairs, 2)
	p.messages = min(max(p.messages/20, 40), 200)
	if p.count > 0 {
		p.count = min(max(p.count/15, 2), 8)
	}
	p.kills = min(p.kills, 3)
	p.restarts = min(p.restarts, 1)
	p.lanCuts = min(p.lanCuts, 1)
	var cuts []cut
	for _, c := range p.cuts {
		if c != silent { // it takes as long as the gateway waits for an acknowledgement
			cuts = append(cuts, c)
		}
	}
	p.cuts = cuts
	return p
}

// Settings of the nasty server.
//
// COMPAT ejabberd 23.01: it ends a session with more unacknowledged stanzas at
// once, keeps them for the next one, and gives them to it all at once. So fewer
// than that are under way, or there would be no session under stream management
// at all.
const (
	nastyHibernation    = 3  // seconds
	nastyQueue          = 5  // stanzas that Prosody keeps; what is beyond is in its archive
	nastyEjabberdQueue  = 10 // the same of ejabberd
	nastyEjabberdWindow = 2  // messages of one way, of four, that are under way
)

// mnesiaMost is how many messages an ejabberd with archive is given.
//
// COMPAT ejabberd: its archive in Mnesia writes all of an account's messages
// again for each new one, and does not take more than 2 GB.
const mnesiaMost = 1500

// outageTime is longer than the nasty server keeps a session.
const outageTime = (nastyHibernation + 2) * time.Second
