package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"meshgate/bridge/dsps"
	"meshgate/bridge/dsps/client"
)

// inquire has do ask, and shows the answer as JSON or as text.
func inquire[T any](r *streamRun, s *streamSession, do func(context.Context) (T, error), text func(T) string) error {
	ask, cancel := s.asking()
	defer cancel()
	answer, err := do(ask)
	if err != nil {
		return err
	}
	if r.o.json {
		return writeJSON(r.process, answer)
	}
	_, err = fmt.Fprint(r.stdout, text(answer))
	return err
}

// ours opens a session that speaks for the stream that the first argument names.
func (r *streamRun) ours(ctx context.Context) (*streamSession, *client.Stream, error) {
	h, err := parseHandle(r.o.args[0])
	if err != nil {
		return nil, nil, err
	}
	s, _, err := r.reach(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	stream, err := s.Take(h.stream, dsps.Master, dsps.Prepared{})
	if err != nil {
		s.close()
	}
	return s, stream, err
}

// A member is one of a stream.
type member struct {
	Address string `json:"address"`
	Right   string `json:"right"`
	State   string `json:"state"` // connected, away or invited
}

// memberStates are the document's words for what a peer does, in ours.
var memberStates = map[dsps.Status]string{dsps.Connect: "connected", dsps.Wait: "away", dsps.Expire: "invited"}

func (r *streamRun) who(ctx context.Context) error {
	s, stream, err := r.ours(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return inquire(r, s, func(ctx context.Context) ([]member, error) {
		list, err := stream.Who(ctx)
		members := make([]member, len(list))
		for i, p := range list {
			members[i] = member{string(p.JID), string(p.Right), memberStates[p.Status]}
		}
		return members, err
	}, func(list []member) string { return membersTable(list, columns(r.stdout)) })
}

func membersTable(list []member, columns int) string {
	var rows [][]string
	for _, m := range list {
		rows = append(rows, []string{plain(m.Address), plain(m.Right), m.State})
	}
	return drawTable([]column{{"WHO", 12}, {"RIGHT", 6}, {"STATE", 9}}, rows, columns)
}

// A streamInfo is the state of a stream.
type streamInfo struct {
	Begun      time.Time `json:"begun"`
	Public     string    `json:"public,omitempty"` // where it is joined
	Joined     int       `json:"joined"`           // that way
	MayJoin    int       `json:"may_join"`
	Masters    int       `json:"masters"`
	Slaves     int       `json:"slaves"`
	Relays     int       `json:"relays"`
	LeastBytes int64     `json:"least_bytes_per_second"`
}

func infoOf(x dsps.StreamStats, public dsps.JID) streamInfo {
	return streamInfo{
		x.Init, string(public), x.Public, x.MaxPublic, x.MasterCount, x.SlaveCount, x.RelayCount, int64(x.MinThroughput),
	}
}

// stats tells of a stream, or of the public ones of a service.
func (r *streamRun) stats(ctx context.Context) error {
	if len(r.o.args) == 0 {
		return r.publicStats(ctx)
	}
	s, stream, err := r.ours(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return inquire(r, s, func(ctx context.Context) (streamInfo, error) {
		x, err := stream.Stats(ctx)
		return infoOf(x, x.PublicID), err
	}, func(x streamInfo) string { return infoText(x, time.Now()) })
}

func (r *streamRun) publicStats(ctx context.Context) error {
	s, err := r.open(ctx, r.o.resource(""))
	if err != nil {
		return err
	}
	defer s.close()
	service, err := s.service(r.o.service)
	if err != nil {
		return err
	}
	return inquire(r, s, func(ctx context.Context) ([]streamInfo, error) { return publicStreams(ctx, s, service) },
		func(list []streamInfo) string { return publicTable(list, time.Now(), columns(r.stdout)) })
}

func publicStreams(ctx context.Context, s *streamSession, at dsps.JID) ([]streamInfo, error) {
	list, err := s.Public(ctx, at)
	out := []streamInfo{}
	for _, x := range list {
		for _, public := range x.Peers {
			out = append(out, infoOf(x, public))
		}
	}
	return out, err
}

// publicTable lists public streams, by the addresses at which they are joined.
func publicTable(list []streamInfo, now time.Time, columns int) string {
	if len(list) == 0 {
		return "the service has no public streams\n"
	}
	var rows [][]string
	for _, x := range list {
		rows = append(rows, []string{plain(x.Public), fmt.Sprintf("%d of %d", x.Joined, x.MayJoin), rateWords(x.LeastBytes), age(now.Sub(x.Begun))})
	}
	return drawTable([]column{{"STREAM", 12}, {"JOINED", 6}, {"AT LEAST", 8}, {"FOR", 3}}, rows, columns)
}

func infoText(x streamInfo, now time.Time) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-8s  %s\n", name, value) }
	line("begun", age(now.Sub(x.Begun))+" ago")
	line("masters", strconv.Itoa(x.Masters))
	line("slaves", strconv.Itoa(x.Slaves))
	line("relays", strconv.Itoa(x.Relays))
	if x.MayJoin > 0 {
		line("public", fmt.Sprintf("%d of %d, at %s", x.Joined, x.MayJoin, plain(x.Public)))
	}
	line("at least", rateWords(x.LeastBytes))
	return b.String()
}

func rateWords(bytes int64) string {
	if bytes <= 0 {
		return "-"
	}
	return sizeWords(bytes) + "/s"
}
