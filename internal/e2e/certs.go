package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// certificates are the files of a server's identity.
type certificates struct {
	ca   string // the authority, for clients
	cert string // the server's own
	key  string
	both string // certificate and key in one file
}

// writeCertificates makes a certificate authority of the lab's own and a
// certificate of it for the names, in the host's directory.
func writeCertificates(h *Host, dir string, names ...string) (certificates, error) {
	caKey, caPEM, ca, err := makeAuthority()
	if err != nil {
		return certificates{}, fmt.Errorf("certificate authority: %w", err)
	}
	certPEM, keyPEM, err := makeServerCertificate(ca, caKey, names)
	if err != nil {
		return certificates{}, fmt.Errorf("server certificate: %w", err)
	}
	return certificates{
		ca:   h.WriteFile(dir+"/ca.pem", caPEM),
		cert: h.WriteFile(dir+"/cert.pem", certPEM),
		key:  h.WriteFile(dir+"/key.pem", keyPEM),
		both: h.WriteFile(dir+"/server.pem", certPEM+keyPEM),
	}, nil
}

func makeAuthority() (*ecdsa.PrivateKey, string, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, "", nil, err
	}
	return key, pemText("CERTIFICATE", der), ca, nil
}

func makeServerCertificate(ca *x509.Certificate, caKey *ecdsa.PrivateKey, names []string) (cert, key string, err error) {
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, &serverKey.PublicKey, caKey)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return "", "", err
	}
	return pemText("CERTIFICATE", der), pemText("PRIVATE KEY", keyDER), nil
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
