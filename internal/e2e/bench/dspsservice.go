package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"meshgate/bridge/dsps"
	"meshgate/internal/selfsigned"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// A streamService is a service that is a bot of a server.
type streamService struct {
	self  dsps.JID
	close func() // returns when all is over

	mu    sync.Mutex
	conns map[*net.TCPConn]bool // that came; closed ones are found out later
}

// openService runs a service on a port of the loopback, for everybody.
func openService(ctx context.Context, errand *xmppc2s.Errand) (*streamService, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	cert, err := selfsigned.New(time.Now())
	if err != nil {
		return nil, err
	}
	s := &streamService{self: dsps.JID(errand.Address()), conns: map[*net.TCPConn]bool{}}
	all := func(dsps.JID) bool { return true }
	server := dsps.NewServer(dsps.ServerConfig{Listen: "none", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Engine: dsps.Config{
		Rand: rand.New(rand.NewChaCha8([32]byte{1})), Addresses: dsps.OneJID(s.self),
		Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, Limits: dsps.Limits{StreamsEach: crowd, Queries: 1 << 16},
		Policy: dsps.Policy{MayCreate: all, MayJoin: all, MayInvite: func(_, _ dsps.JID) bool { return true }},
	}})
	run, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Run(run, botSender{errand}) })
	wg.Go(func() { s.serve(ln, server) })
	wg.Go(func() {
		_ = errand.Run(func(iq *stanza.Element) bool { return server.HandleQuery(dsps.JID(iq.Attr("from")), s.self, iq) })
	})
	s.close = func() { ln.Close(); errand.Close(); cancel(); wg.Wait() }
	return s, nil
}

type botSender struct{ e *xmppc2s.Errand }

func (s botSender) SendIQ(iq *stanza.Element) { _ = s.e.Send(iq) }

func (s *streamService) serve(ln net.Listener, server *dsps.Server) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c.(*net.TCPConn)] = true
		s.mu.Unlock()
		server.Serve(c)
	}
}

// sockets is how much data the kernel has for all connections, in bytes: what
// was not read yet, and what was written and not acknowledged.
func (s *streamService) sockets() (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		n, err := queued(c)
		if err != nil {
			delete(s.conns, c) // it is closed
		}
		sum += int64(n)
	}
	return sum
}

// queued is SIOCINQ and SIOCOUTQ of tcp(7).
func queued(c *net.TCPConn) (bytes int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for _, question := range []uint{unix.SIOCINQ, unix.SIOCOUTQ} {
			n, err := unix.IoctlGetInt(int(fd), question)
			bytes, failed = bytes+n, errors.Join(failed, err)
		}
	})
	return bytes, errors.Join(err, failed)
}

// serviceCommand is what the benchmark is called with to be a service and
// nothing else, so that its memory is its own: stream-service SERVER CA-FILE JID.
// It answers each line of standard input with what it has in use, in bytes: heap
// and stacks, and sockets.
const serviceCommand = "stream-service"

func serveStreams(args []string) int {
	ctx := context.Background()
	errand, err := streamLogin(ctx, args[0], args[1], args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := openService(ctx, errand)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.close()
	fmt.Println("started")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("memory", inUse(), s.sockets())
	}
	return 0
}

// inUse is what the program uses by itself, in bytes. What is kept for reuse
// goes in two collections.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
