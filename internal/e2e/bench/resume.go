package main

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"mellium.im/xmpp/jid"

	"meshgate/internal/e2e"
	"meshgate/internal/e2e/ends"
	"meshgate/internal/stanza"
)

const (
	resumeRounds = 40
	killRounds   = 10
)

// measureResume prints how long the gateway takes to resume its session after a
// reset and after a kill, beside what a plain client takes to log in.
func measureResume(ctx context.Context, tb e2e.TB, out sheet) {
	var proxy *e2e.Proxy
	o := e2e.OpenOffice(tb, e2e.OfficeOptions{
		Server: func(s *e2e.ServerOptions) {
			s.Friends = [][2]string{{e2e.GatewayUser, "alice"}}
			s.NoArchive = true
		},
		Through: func(s *e2e.Server) string {
			proxy = s.Host().Proxy(s.LoopbackAddr())
			return proxy.Addr()
		},
	})
	o.Gateway.AwaitLog("online")
	roots := must(ends.Roots(o.Server))(tb)
	use := user(ctx, tb, o, roots)
	var bare, reset, killed []time.Duration
	for range resumeRounds {
		bare = append(bare, connect(ctx, tb, o, proxy.Addr(), roots))
		use() // what ends as soon as it has begun is not tried again at once
		begin := time.Now()
		proxy.Cut(e2e.RST)
		reset = append(reset, resumedAt(tb, o.Gateway).Sub(begin))
	}
	for range killRounds {
		o.Gateway.Kill()
		begin := time.Now()
		o.Gateway.Start()
		killed = append(killed, resumedAt(tb, o.Gateway).Sub(begin))
	}
	for name, times := range map[string][]time.Duration{"connect_bare": bare, "resume_after_reset": reset, "resume_after_kill": killed} {
		out.figure(name+"_p50", ms(quantile(times, 0.5)), "ms")
		out.figure(name+"_p95", ms(quantile(times, 0.95)), "ms")
	}
	out.figure("resume_after_reset_p50_over_connect", float64(quantile(reset, 0.5))/float64(quantile(bare, 0.5)), "ratio")
	out.figure("resume_after_reset_p95_over_connect", float64(quantile(reset, 0.95))/float64(quantile(bare, 0.95)), "ratio")
}

// user returns what makes use of the gateway's session: a contact asks who is
// there, and has an answer.
func user(ctx context.Context, tb e2e.TB, o *e2e.Office, roots *x509.CertPool) (use func()) {
	answers := make(chan struct{}, 2*resumeRounds)
	alice := must(ends.Login(ctx, o.Server, roots, "alice", func(_ time.Time, st *stanza.Element) {
		if st.Is(stanza.NSClient, "message") {
			answers <- struct{}{}
		}
	}))(tb)
	gateway := jid.MustParse(o.Server.JID(e2e.GatewayUser))
	return func() {
		if err := alice.Send(ctx, gateway, "", "@who"); err != nil {
			tb.Fatalf("bench: %v", err)
		}
		select {
		case <-answers:
		case <-ctx.Done():
			tb.Fatalf("bench: the gateway does not answer")
		}
	}
}

// connect is how long TLS, SASL and bind take a client that acknowledges at
// once what comes, as the gateway does: Nagle's algorithm at the server would
// wait for that, and the yardstick would be ten times as long.
func connect(ctx context.Context, tb e2e.TB, o *e2e.Office, addr string, roots *x509.CertPool) time.Duration {
	begin := time.Now()
	conn := must(o.Host("h1").Dial(ctx, "tcp", addr))(tb)
	c := must(ends.NewClient(ctx, quickConn{conn.(*net.TCPConn)}, jid.MustParse(o.Server.JID("alice")), e2e.UserPassword, roots,
		func(time.Time, *stanza.Element) {}))(tb)
	took := time.Since(begin)
	if err := c.Close(); err != nil {
		tb.Fatalf("bench: %v", err)
	}
	<-c.Ended()
	return took
}

// A quickConn acknowledges at once what it reads.
type quickConn struct{ *net.TCPConn }

func (c quickConn) Read(b []byte) (int, error) {
	e2e.QuickAck(c.TCPConn)
	return c.TCPConn.Read(b)
}

// resumedAt is when the gateway was on line again, in the same session.
func resumedAt(tb e2e.TB, g *e2e.Gateway) time.Time {
	record := g.AwaitLog("online")
	if record["resumed"] != true {
		tb.Fatalf("bench: the session was not resumed: %v", record)
	}
	return logTime(tb, record["time"])
}

func logTime(tb e2e.TB, text any) time.Time {
	s, _ := text.(string)
	return must(time.Parse(time.RFC3339Nano, s))(tb)
}
