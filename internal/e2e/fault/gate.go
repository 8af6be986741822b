package main

import (
	"context"
	"sync"
)

// A gate is open or closed. Who goes through holds it open until it is done;
// who closes it waits for them. The zero value is open.
type gate struct{ mu sync.RWMutex }

// pass runs f when the gate is open.
func (g *gate) pass(ctx context.Context, f func()) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if ctx.Err() == nil {
		f()
	}
}

func (g *gate) close() { g.mu.Lock() }
func (g *gate) open()  { g.mu.Unlock() }
