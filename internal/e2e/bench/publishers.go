package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"

	"github.com/grandcat/zeroconf"

	"meshgate/internal/e2e"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
)

// publishCommand is what the benchmark is called with on another host, to
// publish presence names there and nothing else: publish LIBRARY INTERFACE N.
const publishCommand = "publish"

// published is what every publisher says of contact i: what libpurple says.
func published(i int) (user string, text []string) {
	return "contact" + strconv.Itoa(i), []string{
		"txtvers=1", "status=avail", "1st=Contact", "last=" + strconv.Itoa(i), "nick=Contact " + strconv.Itoa(i), "msg=working on something",
	}
}

// instanceOf is the presence name of contact i.
func instanceOf(i int) string {
	user, _ := published(i)
	return user + "@gw"
}

func publish(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := strconv.Atoi(args[2])
	if err == nil {
		switch args[0] {
		case "meshgate":
			err = publishMeshgate(ctx, args[1], n)
		case "zeroconf":
			err = publishZeroconf(ctx, args[1], n)
		default:
			err = errors.New("no such library")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// publishMeshgate is the gateway's link-local part, with a port for each contact.
func publishMeshgate(ctx context.Context, ifi string, n int) error {
	dns := mdns.New(mdns.ConnConfig{Interfaces: []string{ifi}, Host: "gw", Browse: []string{e2e.PresenceService}})
	keys := linklocal.DefaultKeys()
	keys.First, keys.Last, keys.Nick = true, true, true
	lan := linklocal.New(linklocal.Config{Machine: "gw", MaxContacts: max(n, 1), Publish: &keys}, dns)
	for i := range n {
		user, text := published(i)
		err := lan.Publish(linklocal.Contact{ID: linklocal.ContactID(user), User: user, Presence: linklocal.ParseTXT(text)})
		if err != nil {
			return err
		}
	}
	over := make(chan error, 1)
	go func() { over <- dns.Run(context.WithoutCancel(ctx), lan) }() // ends with the process
	fmt.Println("started")
	return lan.Run(ctx, nobody{})
}

// nobody takes the events of the LAN.
type nobody struct{}

func (nobody) HandleLAN(context.Context, linklocal.Event) {}

// publishZeroconf is zeroconf's Server, once for each contact, as its author
// means it. The name must be escaped to be found by others.
func publishZeroconf(ctx context.Context, name string, n int) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	var servers []*zeroconf.Server
	for i := range n {
		user, text := published(i)
		s, err := zeroconf.Register(user+`\@gw`, e2e.PresenceService, "local", 7000+i, text, []net.Interface{*ifi})
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	fmt.Println("started")
	<-ctx.Done()
	for _, s := range servers {
		s.Shutdown()
	}
	return nil
}
