// Command cliquemember is somebody in Clique rooms, for the lab: a person with a
// program that knows nothing but package clique, driven by JSON lines. The first
// line of standard input says who it is, each later one is a command; each line
// of standard output is an event. Package e2e has the words, see its clique.go.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"meshgate/clique"
	"meshgate/clique/rmulticast"
	"meshgate/linklocal/mdns"
)

// maxCommand is how long a line of standard input may be.
const maxCommand = 4 << 20

// A conf is the first line of standard input.
type conf struct {
	Name      string `json:"name"`
	Host      string `json:"host"`
	Interface string `json:"interface"`
	IPv6      bool   `json:"ipv6"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cliquemember:", err)
		os.Exit(1)
	}
}

// run is a member until the input ends, or says quit.
func run(r io.Reader, w io.Writer) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxCommand)
	var c conf
	if !in.Scan() {
		return fmt.Errorf("no configuration: %w", in.Err())
	}
	if err := json.Unmarshal(in.Bytes(), &c); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	dns := mdns.New(mdns.ConnConfig{
		Interfaces: []string{c.Interface}, Host: c.Host, IPv6: c.IPv6, Browse: []string{clique.ServiceType}, Log: log,
	})
	rooms := clique.New(clique.Config{
		Name: c.Name, IPv6: c.IPv6, Log: log,
	}, dns)
	m := &member{rooms: rooms, out: json.NewEncoder(w), floods: map[speaker]*count{}, streams: map[string]rmulticast.StreamID{}}

	// Rooms are left before their adverts are taken back.
	dnsCtx, stopDNS := context.WithCancel(context.Background())
	roomsCtx, leave := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { m.report("mdns", dns.Run(dnsCtx, rooms)) })
	parts.Go(func() { m.report("rooms", rooms.Run(roomsCtx, m)); stopDNS() })
	m.tell(event{Ev: "ready"})
	for in.Scan() {
		var cmd command
		if err := json.Unmarshal(in.Bytes(), &cmd); err != nil {
			m.report("command", err)
		} else if cmd.Do == "quit" {
			break
		} else {
			m.do(roomsCtx, cmd)
		}
	}
	leave()
	parts.Wait()
	m.work.Wait()
	return in.Err()
}

// An event is one line of output. At is when, in nanoseconds since 1970.
type event struct {
	Ev      string   `json:"ev"`
	At      int64    `json:"at"`
	Room    string   `json:"room,omitempty"`
	Group   string   `json:"group,omitempty"`
	Members []string `json:"members,omitempty"`
	From    string   `json:"from,omitempty"`
	ID      string   `json:"id,omitempty"`
	Type    string   `json:"type,omitempty"`
	Body    string   `json:"body,omitempty"`
	XML     string   `json:"xml,omitempty"`
	Count   int      `json:"count,omitempty"`
	Why     string   `json:"why,omitempty"`
	Frozen  bool     `json:"frozen,omitempty"`
}

// A member is the program's state.
type member struct {
	rooms *clique.Service
	work  sync.WaitGroup // floods, and what is told of later

	mu      sync.Mutex // guards what follows
	out     *json.Encoder
	floods  map[speaker]*count             // those that arrive
	streams map[string]rmulticast.StreamID // ours, by room
}

// tell prints an event. It is safe from any goroutine.
func (m *member) tell(ev event) {
	ev.At = time.Now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.out.Encode(ev) // nobody listens any more
}

func (m *member) report(what string, err error) {
	if err != nil {
		m.tell(event{Ev: "error", Why: what + ": " + err.Error()})
	}
}
