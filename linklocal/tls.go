package linklocal

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// TLS is what a Service does about encryption. The zero value is none.
type TLS struct {
	Incoming, Outgoing TLSPolicy // of streams that peers open, and that we do
	// Certificate is ours, for all contacts and in both directions. Peers see
	// its key, nothing else of it counts. Needed unless both policies are Off.
	Certificate tls.Certificate
	Pins        Pins // default: in memory, 4096 of them
	// Forget is how a person has the key of a peer forgotten, for the log: a
	// clause such as "run meshgate forget". Default: a general one.
	Forget string
}

const (
	// maxHandshakeBytes bounds what a peer may send before the handshake is
	// done, its certificates above all.
	maxHandshakeBytes = 64 << 10
	maxCertificates   = 8 // in the chain that a peer shows; the first counts
)

var (
	errNoCertificate = errors.New("linklocal: TLS without a certificate")
	errHandshakeSize = errors.New("handshake too large")
)

func (t TLS) wanted() bool { return t.Incoming != Off || t.Outgoing != Off }

// policy is that of one direction.
func (t TLS) policy(r role) TLSPolicy {
	if r == recipient {
		return t.Incoming
	}
	return t.Outgoing
}

// config is for both roles. Certificates are not verified: nobody on a LAN
// could vouch for them. What counts is the key, see Pins.
func (t TLS) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12, // RFC 9325 §3.1.1
		Certificates:           []tls.Certificate{t.Certificate},
		ClientAuth:             tls.RequestClientCert,
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true, // each stream shows its certificates
		// A stanza in one record is one write, see marker.
		DynamicRecordSizingDisabled: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > maxCertificates {
				return fmt.Errorf("%d certificates", len(raw))
			}
			return nil
		},
	}
}

// A handshake secures a connection, in the reader's goroutine: the stream
// engine has a deadline for it and then has the connection closed.
type handshake func(net.Conn) (*tls.Conn, error)

func (l *loop) handshake(r role) handshake {
	secure := tls.Client
	if r == recipient {
		secure = tls.Server
	}
	return func(tcp net.Conn) (*tls.Conn, error) {
		limited := &limitedConn{Conn: tcp, left: maxHandshakeBytes}
		conn := secure(limited, l.tls)
		if err := conn.HandshakeContext(context.Background()); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		limited.done = true
		return conn, nil
	}
}

// A limitedConn lets so much be read until done. Only the reader uses its Read.
type limitedConn struct {
	net.Conn
	left int
	done bool
}

func (c *limitedConn) Read(b []byte) (int, error) {
	if c.done {
		return c.Conn.Read(b)
	}
	if c.left == 0 {
		return 0, errHandshakeSize
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// handshaken takes the result of a handshake.
func (l *loop) handshaken(now time.Time, c *conn, conn *tls.Conn, err error) {
	if err != nil {
		l.count.handshakesFailed.Add(1)
		l.log.Debug("TLS handshake failed", "contact", c.contact.ID, "peer", c.stream.cfg.peer, "remote", c.remote, "err", err)
	}
	switch {
	case c.dead:
	case err != nil:
		c.stream.handleEOF(err)
		l.kill(c)
	default:
		c.tls = conn
		c.stream.secured(now, peerKey(conn), l.pinOf(c.stream.cfg.peer))
	}
	l.carry(now, c)
}

// peerKey is the key of the certificate that a peer has shown: the SHA-256 of
// its SubjectPublicKeyInfo; nil: it has shown none.
func peerKey(conn *tls.Conn) []byte {
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return nil
	}
	sum := sha256.Sum256(certs[0].RawSubjectPublicKeyInfo)
	return sum[:]
}
