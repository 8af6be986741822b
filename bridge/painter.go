package bridge

import (
	"context"

	"meshgate/internal/icon"
	"meshgate/internal/mailbox"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

// maxPaintings bounds what waits for the painter: the portrait changes less
// often than a picture is painted.
const maxPaintings = 16

// A painter makes one picture of several in a goroutine of its own: to decode
// what strangers have sent takes longer than messages should wait.
type painter struct {
	hub  *Hub
	jobs *mailbox.Mailbox[[]*linklocal.Icon]
}

func newPainter(h *Hub) *painter {
	return &painter{hub: h, jobs: mailbox.New[[]*linklocal.Icon](maxPaintings)}
}

func (p *painter) run(ctx context.Context) {
	for {
		select {
		case <-p.jobs.C():
			if jobs := p.jobs.Take(); len(jobs) > 0 {
				p.paint(jobs[len(jobs)-1])
			}
		case <-ctx.Done():
			return
		}
	}
}

// paint makes the account's picture of those of some peers.
func (p *painter) paint(faces []*linklocal.Icon) {
	p.hub.cfg.Log.Debug("the account's picture is made", "of", len(faces))
	switch len(faces) {
	case 0:
		p.hub.server.SetAvatar(nil)
		return
	case 1:
		p.hub.server.SetAvatar(&xmppc2s.Avatar{Data: faces[0].Data, Type: faces[0].Type})
		return
	}
	var pictures [][]byte
	for _, f := range faces {
		pictures = append(pictures, f.Data)
	}
	data, err := icon.Mosaic(pictures)
	if err != nil {
		p.hub.cfg.Log.Info("no picture could be made of the peers'", "err", err)
		return
	}
	p.hub.server.SetAvatar(&xmppc2s.Avatar{Data: data, Type: "image/png"})
}
