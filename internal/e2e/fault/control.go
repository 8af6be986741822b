package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// askPatience is how long the gateway may take to answer.
const askPatience = 5 * time.Second

// A control asks a running gateway over its control socket. It is safe from
// any goroutine.
type control struct {
	addr netip.Addr // of the gateway on the LAN
	http *http.Client
}

func newControl(path string, addr netip.Addr) *control {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &control{addr, &http.Client{Timeout: askPatience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (c *control) get(ctx context.Context, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fault: GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// mirrorPort is where a mirror listens now.
func (c *control) mirrorPort(ctx context.Context, mirror string) (uint16, error) {
	var peers []struct {
		Name, Own string
		Port      uint16
	}
	if err := c.get(ctx, "/peers", &peers); err != nil {
		return 0, err
	}
	for _, p := range peers {
		if p.Name == mirror && p.Own != "" {
			return p.Port, nil
		}
	}
	return 0, fmt.Errorf("fault: %s is not there", mirror)
}

// A balance is what the gateway's ledger says.
type balance struct {
	Balanced    bool
	FromLAN     account `json:"from_lan"`
	FromNetwork account `json:"from_network"`
}

// An account is one direction of the ledger, since the process has started.
type account struct {
	Entered, Carried, Pending uint64
	Ended                     map[string]uint64
}

// even reports whether every message has one entry, and that one end.
func (b balance) even() bool {
	return b.Balanced && b.FromLAN.Pending == 0 && b.FromNetwork.Pending == 0
}

func (b balance) String() string {
	if b.even() {
		return "yes"
	}
	return fmt.Sprintf("no: %+v %+v", b.FromLAN, b.FromNetwork)
}

// awaitBalance reads the ledger, until nothing is pending any more or it is
// clear that something stays: the acknowledgement of a message may come behind
// its arrival.
func (c *control) awaitBalance(ctx context.Context) (balance, error) {
	for limit := time.Now().Add(calm); ; pause(ctx, again) {
		var b balance
		err := c.get(ctx, "/ledger", &b)
		if err != nil || b.even() || time.Now().After(limit) {
			return b, err
		}
	}
}

// acknowledged are the ids of the messages of a peer that the server has
// acknowledged, as the ledger says. It has the last thousand of the peer's.
func (c *control) acknowledged(ctx context.Context, peer string) (ids []string, err error) {
	var list []struct{ ID, From, End string }
	if err := c.get(ctx, "/trace?of="+url.QueryEscape(peer), &list); err != nil {
		return nil, err
	}
	for _, x := range list {
		if x.From == "lan" && x.End == "delivered" {
			ids = append(ids, x.ID)
		}
	}
	return ids, nil
}
