package client

import (
	"context"
	"sync"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/internal/stanza"
)

// A Stream is one that we are a peer of. Its methods may be called from any goroutine.
type Stream struct {
	At       dsps.JID // the service's address for it, as we know it
	Right    dsps.Right
	Prepared dsps.Prepared

	client  *Client
	events  chan dsps.PeerPresence
	joined  chan struct{} // a token when the service says that we are connected
	dropped chan struct{}
	once    sync.Once
	why     []*stanza.Element
}

// Events tells what becomes of others: presence (connect, waiting, drop), and
// of those we invited or wanted to drop (expire, reject, timeout, missing).
// Those that nobody takes are lost beyond 256.
func (s *Stream) Events() <-chan dsps.PeerPresence { return s.events }

// Dropped is closed when we are no peer any more.
func (s *Stream) Dropped() <-chan struct{} { return s.dropped }

// Why are the comments with which we were dropped.
func (s *Stream) Why() []*stanza.Element {
	<-s.dropped
	return s.why
}

func (s *Stream) isDropped() bool {
	select {
	case <-s.dropped:
		return true
	default:
		return false
	}
}

func (s *Stream) changed(peers []dsps.PeerPresence) {
	if s == nil {
		return
	}
	for _, p := range peers {
		if p.JID == s.client.cfg.Self && p.Status == dsps.Connect {
			select {
			case s.joined <- struct{}{}:
			default:
			}
		}
		select {
		case s.events <- p:
		default:
		}
	}
}

func (s *Stream) drop(why []*stanza.Element) {
	if s == nil {
		return
	}
	s.once.Do(func() {
		s.why = why
		close(s.dropped)
	})
	s.client.forget(s)
}

func (s *Stream) ask(ctx context.Context, kind string, q ...dsps.Query) (dsps.IQ, error) {
	return s.client.ask(ctx, dsps.IQ{Kind: kind, ID: newID(), To: s.At, Queries: q})
}

// An Offer is an invitation as we make it.
type Offer struct {
	Right        dsps.Right
	Peers        []dsps.JID
	Expire, Wait time.Duration // 0: the service's
	Comments     []*stanza.Element
}

// Invite asks others to join. What becomes of it comes by Events.
func (s *Stream) Invite(ctx context.Context, o Offer) error {
	a := dsps.Admin{Expire: unlessZero(o.Expire), Wait: unlessZero(o.Wait), Comments: o.Comments}
	for _, jid := range o.Peers {
		a.Peers = append(a.Peers, dsps.AdminPeer{JID: jid, Right: o.Right})
	}
	_, err := s.admin(ctx, a)
	return err
}

func unlessZero(d time.Duration) time.Duration {
	if d == 0 {
		return dsps.Unset
	}
	return d
}

// Drop takes peers off the stream, and returns those that were not on it.
func (s *Stream) Drop(ctx context.Context, comments []*stanza.Element, peers ...dsps.JID) ([]dsps.JID, error) {
	a := dsps.Admin{Expire: dsps.Unset, Wait: dsps.Unset, Comments: comments}
	for _, jid := range peers {
		a.Peers = append(a.Peers, dsps.AdminPeer{JID: jid})
	}
	return s.admin(ctx, a)
}

func (s *Stream) admin(ctx context.Context, a dsps.Admin) (missing []dsps.JID, err error) {
	got, err := s.ask(ctx, "set", a)
	if err != nil {
		return nil, err
	}
	for _, q := range got.Queries {
		if r, ok := q.(dsps.Report); ok {
			s.changed(r.Peers)
			for _, p := range r.Peers {
				if p.Status == dsps.Missing {
					missing = append(missing, p.JID)
				}
			}
		}
	}
	return missing, nil
}

// Leave drops ourselves. What we have sent is delivered all the same.
func (s *Stream) Leave(ctx context.Context) error {
	if s.isDropped() {
		return nil
	}
	_, err := s.Drop(ctx, nil, s.client.cfg.Self)
	s.drop(nil)
	return err
}

// Who lists the peers: all of them for a master, the masters for others.
func (s *Stream) Who(ctx context.Context) ([]dsps.PeerInfo, error) {
	a, err := s.ask(ctx, "get", dsps.Who{})
	if err != nil {
		return nil, err
	}
	for _, q := range a.Queries {
		if list, ok := q.(dsps.WhoList); ok {
			return list.Peers, nil
		}
	}
	return nil, errAnswer
}

// Stats is the state of the stream.
func (s *Stream) Stats(ctx context.Context) (dsps.StreamStats, error) {
	a, err := s.ask(ctx, "get", dsps.Stats{})
	if err != nil {
		return dsps.StreamStats{}, err
	}
	for _, q := range a.Queries {
		if stats, ok := q.(dsps.StreamStats); ok {
			return stats, nil
		}
	}
	return dsps.StreamStats{}, errAnswer
}
