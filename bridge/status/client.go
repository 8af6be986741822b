package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	maxAnswer     = 16 << 20 // bytes of an answer, or of one line of a stream
	maxComplaint  = 1 << 10
	clientTimeout = 15 * time.Second // for an answer
)

// A Client asks a running gateway. Its methods are safe from any goroutine.
type Client struct{ http *http.Client }

// Dial makes a client of the gateway whose socket is there. It connects only
// when asked something.
func Dial(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: clientTimeout,
	}}}
}

// Report asks how the gateway is doing.
func (c *Client) Report(ctx context.Context) (Report, error) {
	var r Report
	return r, c.ask(ctx, "/status", &r)
}

// Peers asks who is on the LAN.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	var list []Peer
	return list, c.ask(ctx, "/peers", &list)
}

// Survey asks what the XMPP server offers, into what v points to.
func (c *Client) Survey(ctx context.Context, v any) error { return c.ask(ctx, "/survey", v) }

// ErrEnded is what Follow returns when the gateway ends.
var ErrEnded = errors.New("status: the gateway has ended")

// Follow calls f with who is there, perhaps nobody, and then with what has
// changed, until ctx or the gateway ends.
func (c *Client) Follow(ctx context.Context, f func([]Change)) error {
	body, err := c.get(ctx, "/peers?follow")
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var changes []Change
		if err := json.Unmarshal(lines.Bytes(), &changes); err != nil {
			return fmt.Errorf("status: %w", err)
		}
		f(changes)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return ErrEnded
}

func (c *Client) ask(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, v)
}

func (c *Client) do(ctx context.Context, method, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	body, err := c.open(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.open(ctx, http.MethodGet, path)
}

func (c *Client) open(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://meshgate"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint)) // what there is of it
		return nil, fmt.Errorf("status: the gateway says: %s", strings.TrimSpace(string(text)))
	}
	return resp.Body, nil
}
