package main

import (
	"context"
	"math/rand/v2"
	"time"

	"meshgate/internal/e2e"
)

// A cut is a way to harm the gateway's connection.
type cut int

// The cuts.
const (
	reset    cut = iota // RST to both sides at once
	fin                 // an orderly end of TCP
	halfUp              // RST behind some byte that the gateway sends: most often within a stanza
	halfDown            // the same of the server's
	stall               // nothing passes for a while, then all of it
	silent              // nothing passes any more, and nobody is told
	outage              // RST, and no connection for longer than a nasty server waits
)

func (c cut) String() string {
	return [...]string{"reset", "fin", "half-up", "half-down", "stall", "silent", "outage"}[c]
}

const (
	halfMost   = 20_000                  // bytes until a cut within a stanza, at most
	stallLeast = 50 * time.Millisecond   // of a stall
	stallMost  = 1500 * time.Millisecond // of a stall
)

// harm does it to the connection of the moment.
func (c cut) harm(ctx context.Context, p *e2e.Proxy, rng *rand.Rand) {
	switch c {
	case reset:
		p.Cut(e2e.RST)
	case fin:
		p.Cut(e2e.FIN)
	case halfUp:
		p.CutAfter(1+rng.Int64N(halfMost), e2e.Up)
	case halfDown:
		p.CutAfter(1+rng.Int64N(halfMost), e2e.Down)
	case stall:
		dir := e2e.Direction(rng.IntN(2))
		p.Stall(dir)
		pause(ctx, stallLeast+rand.N(stallMost-stallLeast))
		p.Resume(dir)
	case silent:
		p.Cut(e2e.Silent)
	case outage:
		p.Refuse(true)
		p.Cut(e2e.RST)
		pause(ctx, outageTime)
		p.Refuse(false)
	}
}
