package xmppc2s

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
)

// tlsConfig is how the client meets its server. cache lets a reconnect resume
// the TLS session too.
func tlsConfig(cfg *Config, domain string, cache tls.ClientSessionCache) *tls.Config {
	t := &tls.Config{
		ServerName:         domain,
		RootCAs:            cfg.RootCAs,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: cache,
		// A record is the unit that a cut can take away: whole stanzas in each.
		DynamicRecordSizingDisabled: true,
	}
	if len(cfg.Pins) > 0 {
		t.InsecureSkipVerify = true // a pin says more than an authority
		t.VerifyConnection = func(s tls.ConnectionState) error { return checkPins(cfg, s) }
	}
	return t
}

// directTLSConfig adds the protocol name that XEP-0368 §4 asks for.
func directTLSConfig(t *tls.Config) *tls.Config {
	t = t.Clone()
	t.NextProtos = []string{"xmpp-client"}
	return t
}

// checkPins is called on resumed TLS sessions too.
func checkPins(cfg *Config, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return &Error{Problem: Untrusted, Text: "the server shows no certificate"}
	}
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	for _, pin := range cfg.Pins {
		if subtle.ConstantTimeCompare(sum[:], pin) == 1 {
			return nil
		}
	}
	return &Error{Problem: Untrusted,
		Text: fmt.Sprintf("the server's key is not the pinned one: its SHA-256 is %x. If the server has a new key, pin that", sum)}
}
