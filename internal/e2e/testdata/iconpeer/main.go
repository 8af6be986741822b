// Command iconpeer is one contact on a link, without anything behind it: it
// says which icons it sees, and publishes those that it is told.
//
// Arguments: interface, cache directory ("" for none), then on standard input
// "icon FILE" or "icon -". Standard output: "NAME instance", "ICON instance
// sha1 bytes", "ASKED n KNOWN n" before it ends.
package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"fmt"
	"os"
	"strings"
	"sync"

	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
)

type handler struct{}

func (handler) HandleLAN(_ context.Context, ev linklocal.Event) {
	switch ev := ev.(type) {
	case linklocal.ContactPublished:
		fmt.Printf("NAME\t%s\n", ev.Instance)
	case linklocal.PeerIcon:
		if ev.Icon == nil {
			fmt.Printf("ICON\t%s\t-\t0\n", ev.Instance)
		} else {
			fmt.Printf("ICON\t%s\t%x\t%d\n", ev.Instance, sha1.Sum(ev.Icon.Data), len(ev.Icon.Data))
		}
	}
}

func main() {
	ctx, stop := context.WithCancel(context.Background())
	var lan *linklocal.Service
	dns := mdns.New(mdns.ConnConfig{Interfaces: []string{os.Args[1]}, Host: "iconpeer", Browse: []string{"_presence._tcp"}})
	lan = linklocal.New(linklocal.Config{Machine: "gw", IconCache: os.Args[2]}, dns)
	dnsCtx, stopDNS := context.WithCancel(context.Background())
	var dnsDone, lanDone sync.WaitGroup
	dnsDone.Go(func() { check(dns.Run(dnsCtx, lan)) })
	lanDone.Go(func() { check(lan.Run(ctx, handler{})) })
	contact := linklocal.Contact{ID: "c", User: "juliet"}
	check(lan.Publish(contact))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		file, _ := strings.CutPrefix(in.Text(), "icon ")
		contact.Icon = nil
		if file != "-" {
			data, err := os.ReadFile(file)
			check(err)
			contact.Icon = &linklocal.Icon{Data: data}
		}
		check(lan.Publish(contact))
	}
	s := lan.Stats()
	fmt.Printf("ASKED\t%d\tKNOWN\t%d\n", s.IconsAsked, s.IconsCached)
	stop()
	lanDone.Wait()
	stopDNS()
	dnsDone.Wait()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "iconpeer:", err)
		os.Exit(1)
	}
}
