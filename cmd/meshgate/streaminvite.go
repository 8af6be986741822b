package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

// askEvery is how often it is asked who has accepted: nobody tells.
const askEvery = time.Second

// inviteAll invites. The service says that it may not be, but not for whom.
func inviteAll(ctx context.Context, stream *client.Stream, o client.Offer) error {
	err := stream.Invite(ctx, o)
	if !isForbidden(err) {
		return err
	}
	var names []string
	for _, j := range o.Peers {
		names = append(names, string(j))
	}
	return fmt.Errorf("the service knows no such person, or lets you not invite them: %s", strings.Join(names, ", "))
}

func isForbidden(err error) bool {
	e, ok := errors.AsType[*dsps.Error](err)
	return ok && e.Code == dsps.Forbidden
}

// invite invites to a stream of ours, and says who accepts and who does not.
func (r *streamRun) invite(ctx context.Context) error {
	s, stream, err := r.ours(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	wait := cmp.Or(r.o.wait, defaultCome)
	alive, cancel := context.WithTimeout(s.alive, wait)
	defer cancel()
	v := &invitees{run: r, session: s, stream: stream, known: map[string]bool{}}
	if v.left, err = r.receivers(alive, s, stream.At); err != nil {
		return err
	}
	offer := client.Offer{Right: dsps.Slave, Peers: slices.Clone(v.left), Expire: wait}
	if r.o.master {
		offer.Right = dsps.Master
	}
	return v.invite(alive, offer)
}

// invitees are those who were invited. It belongs to one goroutine.
type invitees struct {
	run     *streamRun
	session *streamSession
	stream  *client.Stream
	left    []dsps.JID      // of whom nothing is known yet
	known   map[string]bool // ids of peers: those who were there before, or have accepted
	refused bool            // that some be invited
	failed  int
}

func (v *invitees) invite(ctx context.Context, o client.Offer) error {
	before, err := v.who()
	if err != nil {
		return err
	}
	for _, p := range before {
		v.known[p.ID] = true
	}
	err = v.stream.Invite(ctx, o)
	if isForbidden(err) {
		v.refused, err = true, nil // some may be invited all the same
	}
	if err == nil {
		err = v.await(ctx)
	}
	if err == nil && v.failed > 0 {
		err = fmt.Errorf("%d of %d do not come", v.failed, len(o.Peers))
	}
	return err
}

// await says what becomes of everybody.
func (v *invitees) await(ctx context.Context) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		who, err := v.who()
		if err != nil {
			return err
		}
		for len(v.stream.Events()) > 0 { // what the service has said before that
			v.heard(<-v.stream.Events())
		}
		v.look(who)
		if len(v.left) == 0 {
			return nil
		}
		select {
		case e := <-v.stream.Events():
			v.heard(e)
		case <-tick.C:
		case <-v.stream.Dropped():
			return client.ErrDropped
		case <-ctx.Done():
			if v.session.alive.Err() != nil {
				return context.Cause(v.session.alive)
			}
			for _, j := range v.left {
				v.fails(j, farewells[dsps.Expire])
			}
			return nil
		}
	}
}

func (v *invitees) who() ([]dsps.PeerInfo, error) {
	ctx, cancel := v.session.asking()
	defer cancel()
	return v.stream.Who(ctx)
}

// heard takes who has failed to come, and why.
func (v *invitees) heard(e dsps.PeerPresence) {
	switch e.Status {
	case dsps.Reject, dsps.Expire, dsps.Timeout:
		if i := v.find(v.left, e.JID); i >= 0 {
			v.left = slices.Delete(v.left, i, i+1)
			v.fails(e.JID, farewells[e.Status])
		}
	}
}

// look finds who has accepted, and who is invited no more though nothing was said.
func (v *invitees) look(who []dsps.PeerInfo) {
	gone := slices.Clone(v.left)
	for _, p := range who {
		list := &v.left
		if p.Status == dsps.Expire {
			list = &gone
		} else if v.known[p.ID] {
			continue
		}
		i := v.find(*list, p.JID)
		if i < 0 {
			continue // somebody else
		}
		if p.Status != dsps.Expire {
			v.known[p.ID] = true
			gone = slices.DeleteFunc(gone, func(j dsps.JID) bool { return j == v.left[i] })
			fmt.Fprintf(v.run.stdout, "%s accepts\n", plain(string(p.JID)))
		}
		*list = slices.Delete(*list, i, i+1)
	}
	why := "does not come"
	if v.refused {
		why = "cannot be invited: the service does not know it, or does not let you"
	}
	for _, j := range gone {
		v.fails(j, why)
	}
	v.left = slices.DeleteFunc(v.left, func(j dsps.JID) bool { return slices.Contains(gone, j) })
}

func (v *invitees) fails(who dsps.JID, why string) {
	v.failed++
	fmt.Fprintf(v.run.stdout, "%s %s\n", plain(string(who)), why)
}

// find is who of those invited an address is. They may answer from another
// resource; and on the LAN those who were invited by an address of the network
// are told by the names of their mirrors.
func (v *invitees) find(list []dsps.JID, j dsps.JID) int {
	for _, same := range []func(dsps.JID) bool{
		func(x dsps.JID) bool { return strings.EqualFold(string(x), string(j)) },
		func(x dsps.JID) bool { return samePerson(x, j) },
		func(x dsps.JID) bool { return v.session.mesh != nil && !onLAN(string(x.Bare()), "") },
	} {
		if i := slices.IndexFunc(list, same); i >= 0 {
			return i
		}
	}
	return -1
}
