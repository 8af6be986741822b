package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meshgate/bridge/status"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
)

func appear(w *linklocal.Watch, name string) {
	w.HandleMDNS(mdns.Appeared{Entry: mdns.Entry{Instance: name, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Links: []string{"eth0"}}})
}

func TestBrowserListensBeforeItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &browser{watch: linklocal.NewWatch(10), wait: 3 * time.Second, links: func() bool { return true }}
		start := time.Now()
		time.AfterFunc(2*time.Second, func() { appear(b.watch, "bob@h2") })
		list, err := b.Peers(t.Context())
		if err != nil || len(list) != 1 || list[0].Name != "bob@h2" || list[0].Status != "avail" || time.Since(start) != b.wait {
			t.Errorf("%v, %v after %v", list, err, time.Since(start))
		}
		b.links = func() bool { return false }
		if _, err := b.Peers(t.Context()); !errors.Is(err, errNoLink) {
			t.Errorf("without a link: %v", err)
		}
	})
}

func TestBrowserFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &browser{watch: linklocal.NewWatch(10)}
		ctx, stop := context.WithCancel(t.Context())
		appear(b.watch, "bob@h2")
		time.AfterFunc(time.Minute, func() { b.watch.HandleMDNS(mdns.Vanished{Instance: "bob@h2"}) })
		var said string
		err := b.Follow(ctx, func(changes []status.Change) {
			for _, c := range changes {
				said += c.Op + c.Peer.Name + " "
			}
			if strings.Contains(said, status.Gone) {
				stop()
			}
		})
		if said != "+bob@h2 -bob@h2 " || !errors.Is(err, context.Canceled) {
			t.Errorf("%q, %v", said, err)
		}
	})
}

func TestBrowseWithoutInterface(t *testing.T) {
	var out, errs bytes.Buffer
	code := realMain([]string{"browse", "-interface", "none0", "-wait", "10ms"}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	if code != exitFailed || !strings.Contains(errs.String(), "meshgate doctor says why") {
		t.Errorf("exit code %d, %q", code, &errs)
	}
}
