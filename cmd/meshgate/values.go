package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
)

// maxCABytes caps the size of a file of CA certificates.
const maxCABytes = 1 << 20

// parseAddress reads a JID that belongs to an account: with a local part.
func parseAddress(s string) (jid.JID, error) {
	j, err := jid.Parse(s)
	switch {
	case !strings.Contains(s, "@"):
		return jid.JID{}, fmt.Errorf(`%q has no "@"; write an address, as in user@example.org`, s)
	case strings.ContainsAny(s, " \t"):
		return jid.JID{}, fmt.Errorf("%q has a blank in it; an address has none", s)
	case strings.HasPrefix(strings.ToLower(s), "xmpp:"):
		return jid.JID{}, fmt.Errorf(`%q is a link; leave off "xmpp:"`, s)
	case err != nil, j.Localpart() == "":
		return jid.JID{}, fmt.Errorf("%q is not a valid address; write it as in user@example.org", s)
	}
	return j, nil
}

// parseServer reads "host", "host:port" or "[v6]:port"; port 0 if none is given.
func parseServer(s string) (hostname string, port uint16, err error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.String(), 0, nil
	}
	hostname, number, hasPort := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s, "/") {
		hostname, number, hasPort = strings.Trim(s[:i], "[]"), s[i+1:], true
	}
	if hostname == "" || strings.ContainsAny(hostname, "/@ []") || strings.Contains(hostname, ":") && !isAddr(hostname) {
		return "", 0, fmt.Errorf("%q is no server; write a host name or an address, as in xmpp.example.org or 192.0.2.1:5222", s)
	}
	if !hasPort {
		return hostname, 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q has the port %q; a port is a number from 1 to 65535", s, number)
	}
	return hostname, uint16(n), nil
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isLoopback(hostname string) bool {
	a, err := netip.ParseAddr(hostname)
	return hostname == "localhost" || err == nil && a.IsLoopback()
}

// rootCAs reads the file of CA certificates; nil, the system's, if there is none.
func (c *config) rootCAs() (*x509.CertPool, error) {
	if c.Account.CAFile == "" {
		return nil, nil
	}
	return readRoots(c.resolve(c.Account.CAFile))
}

// readRoots reads a file of CA certificates.
func readRoots(name string) (*x509.CertPool, error) {
	b, err := readCapped(name, maxCABytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", name)
	}
	return pool, nil
}

// parsePin reads the SHA-256 of a certificate's public key, in hex or base64.
func parsePin(s string) ([32]byte, error) {
	raw := strings.TrimPrefix(s, "sha256:")
	b, err := hex.DecodeString(strings.ReplaceAll(raw, ":", ""))
	if err != nil {
		b, err = base64.StdEncoding.DecodeString(raw)
	}
	if err != nil || len(b) != 32 {
		return [32]byte{}, fmt.Errorf("%q is no pin; write the SHA-256 of the server's public key in hex (64 digits) or base64 (44 characters)", s)
	}
	return [32]byte(b), nil
}

// asMachine makes a machine name of s, if it is none.
//
// "… the machine-name … US-ASCII", XEP-0174 §11 (Internationalization)
func asMachine(s string) string {
	const maxMachine = 31
	out := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, s), "-")
	if len(out) > maxMachine {
		out = strings.Trim(out[:maxMachine], "-")
	}
	if out == "" {
		return "gateway"
	}
	return out
}

// readCapped reads a file that may have at most limit bytes.
func readCapped(name string, limit int64) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, openWords(err, false))
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", name)
	}
	if fi.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", name, limit>>10)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, openWords(err, false))
	}
	if len(b) == 0 {
		return nil, errors.New(name + " is empty")
	}
	return b, nil
}
