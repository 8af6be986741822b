package main

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"meshgate/bridge/store"
	"meshgate/internal/selfsigned"
	"meshgate/linklocal"
)

const (
	certificateFile = "lan-tls.pem" // in state_dir
	maxPins         = 10_000
)

// lanPolicies are the words of lan.tls.incoming and outgoing.
var lanPolicies = map[string]linklocal.TLSPolicy{
	"off": linklocal.Off, "offer": linklocal.Offer, "require": linklocal.Require,
}

func (c *config) lanTLS() linklocal.TLS {
	t := c.LAN.TLS
	return linklocal.TLS{Incoming: lanPolicies[t.Incoming], Outgoing: lanPolicies[t.Outgoing], Forget: forgetWords}
}

func (c *config) checkLANTLS() {
	c.checkCertificate("lan.tls", c.LAN.TLS.CertificateFile, c.LAN.TLS.KeyFile, c.wrong)
}

// checkCertificate checks the files of a section. unreadable notes that they are.
func (c *config) checkCertificate(section, certificateFile, keyFile string, unreadable func(path, format string, args ...any)) {
	switch {
	case certificateFile != "" && keyFile == "":
		c.wrong(section+".certificate_file", "has no key; write key_file, too (the same file, if both are in it)")
	case keyFile != "" && certificateFile == "":
		c.wrong(section+".key_file", "has no certificate; write certificate_file, too")
	default:
		if _, err := c.readCertificate(certificateFile, keyFile); err != nil {
			unreadable(section+".certificate_file", "%v", err)
		}
	}
}

// ownCertificate is the one of the configuration for the LAN; with nothing in it
// if the configuration has none.
func (c *config) ownCertificate() (tls.Certificate, error) {
	return c.readCertificate(c.LAN.TLS.CertificateFile, c.LAN.TLS.KeyFile)
}

// readCertificate reads one that is in two files, or in one; without files it
// has nothing in it.
func (c *config) readCertificate(certificateFile, keyFile string) (tls.Certificate, error) {
	if certificateFile == "" || keyFile == "" {
		return tls.Certificate{}, nil
	}
	cert, err := readCapped(c.resolve(certificateFile), maxCABytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readCapped(c.resolve(keyFile), maxCABytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// lanCertificate is the certificate for the LAN: the configuration's, else one
// of our own making that is kept in the state directory, or else in memory.
func (c *config) lanCertificate(lasting bool, log *slog.Logger) (tls.Certificate, error) {
	cert, err := c.ownCertificate()
	if err != nil {
		return cert, fmt.Errorf("lan.tls.certificate_file: %w", err)
	}
	return c.orSelfSigned(cert, certificateFile, lasting, log)
}

// orSelfSigned is the certificate, or, if there is nothing in it, one of our own
// making in that file of the state directory.
func (c *config) orSelfSigned(cert tls.Certificate, name string, lasting bool, log *slog.Logger) (tls.Certificate, error) {
	switch {
	case len(cert.Certificate) > 0:
		return cert, nil
	case lasting:
		var err error
		if cert, err = selfsigned.Keep(filepath.Join(c.stateDir(), name), time.Now()); err != nil {
			log.Warn("a key cannot be kept: after the next start peers may refuse the gateway", "err", err,
				"mend", "let the gateway's user read and write "+name+" in state_dir")
		}
	}
	if len(cert.Certificate) > 0 {
		return cert, nil
	}
	return selfsigned.New(time.Now())
}

// pins are the keys of peers, kept in the state. The key of a row is the
// peer's (Instance.Key), its value the SHA-256 of its TLS key.
//
// A full bucket takes no new ones: if it forgot the oldest, somebody with ten
// thousand names could have it forget all the others.
type pins struct {
	state  *state
	bucket *store.Bucket
}

func newPins(s *state) (*pins, error) {
	b, err := s.Bucket("tls keys", store.Limit{Rows: maxPins, RowBytes: maxLabel + sha256.Size})
	return &pins{s, b}, err
}

// Pin is one of the methods of linklocal.Pins.
func (p *pins) Pin(i linklocal.Instance) (key []byte, ok bool) {
	key = p.bucket.Get([]byte(i.Key()))
	return key, key != nil
}

// SetPin is one of the methods of linklocal.Pins.
func (p *pins) SetPin(i linklocal.Instance, key []byte) error {
	err := p.state.Update(p.bucket.Put([]byte(i.Key()), key))
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%d keys are kept already: %w", maxPins, err)
	}
	return err
}

// forget reports whether there was a key.
func (p *pins) forget(name string) (known bool, err error) {
	i := linklocal.Instance(name)
	if _, known = p.Pin(i); !known {
		return false, nil
	}
	return true, p.state.Update(p.bucket.Delete([]byte(i.Key())))
}
