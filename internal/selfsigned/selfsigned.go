// Package selfsigned makes a certificate that vouches for nothing but its key,
// and keeps it in a file: for peers that know each other by their keys.
package selfsigned

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	validYears = 20
	// renewBefore is how long before its end a certificate is renewed, with
	// the same key: peers know the key.
	renewBefore = 365 * 24 * time.Hour
	maxFile     = 64 << 10 // bytes

	pemCert, pemKey = "CERTIFICATE", "PRIVATE KEY"
)

// ErrBroken says that a file holds no certificate with its key.
var ErrBroken = errors.New("selfsigned: no certificate and key in it")

// New makes a key (ECDSA, P-256) and a certificate for it.
func New(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: key: %w", err)
	}
	return sign(key, now)
}

// sign makes a certificate for a key. It says nothing of whose it is: all
// peers on a LAN can read it.
func sign(key crypto.Signer, now time.Time) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: serial number: %w", err)
	}
	name := pkix.Name{CommonName: "meshgate"}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: name, Issuer: name,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(validYears, 0, 0), // clocks differ
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Keep returns the certificate in a file. If there is no such file it is made;
// a certificate that ends soon, or begins only later because the clock was
// wrong, is renewed; a file that holds something else is
// put aside as NAME.broken. The file is for its owner's eyes only (0600).
//
// With an error there may be a certificate all the same: the one that could
// not be written, or that could not be renewed.
func Keep(file string, now time.Time) (tls.Certificate, error) {
	cert, err := read(file)
	switch {
	case err == nil && cert.Leaf.NotAfter.Sub(now) > renewBefore && now.After(cert.Leaf.NotBefore):
		return cert, os.Chmod(file, 0o600)
	case err == nil:
		fresh, err := sign(cert.PrivateKey.(crypto.Signer), now)
		if err != nil {
			return cert, err
		}
		return fresh, write(file, fresh)
	case errors.Is(err, ErrBroken):
		if err := os.Rename(file, file+".broken"); err != nil {
			return tls.Certificate{}, fmt.Errorf("selfsigned: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		// Unreadable for the moment, it may be: another key in its place
		// would have all peers refuse us.
		return tls.Certificate{}, err
	}
	if cert, err = New(now); err != nil {
		return cert, err
	}
	return cert, write(file, cert)
}

func read(file string) (tls.Certificate, error) {
	f, err := os.Open(file)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("selfsigned: %w", err)
	}
	cert, err := tls.X509KeyPair(b, b)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: %s: %w", ErrBroken, file, err)
	}
	return cert, nil
}

// write replaces the file as a whole, or not at all.
func write(file string, cert tls.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return fmt.Errorf("selfsigned: %w", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: cert.Certificate[0]})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})...)
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // with mode 0600
	if err != nil {
		return fmt.Errorf("selfsigned: %w", err)
	}
	defer os.Remove(f.Name()) // in vain, if all goes well
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("selfsigned: %w", err)
	}
	return nil
}
