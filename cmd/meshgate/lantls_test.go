package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshgate/bridge/status"
	"meshgate/internal/selfsigned"
	"meshgate/linklocal"
)

// tlsBase is a good configuration with more lines under lan.tls.
func tlsBase(more string) string { return strings.Replace(base, "lan:", "lan:\n  tls: {"+more+"}", 1) }

func TestLANPoliciesReachTheLAN(t *testing.T) {
	w := wire(t, base)
	if w.LAN.TLS.Incoming != linklocal.Offer || w.LAN.TLS.Outgoing != linklocal.Offer || w.LAN.TLS.Forget == "" {
		t.Errorf("by default: %+v", w.LAN.TLS)
	}
	w = wire(t, tlsBase("incoming: require, outgoing: off"))
	if w.LAN.TLS.Incoming != linklocal.Require || w.LAN.TLS.Outgoing != linklocal.Off {
		t.Errorf("%+v", w.LAN.TLS)
	}
}

func TestCertificateForTheLANIsChecked(t *testing.T) {
	dir := t.TempDir()
	a, b, text := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "text")
	for _, f := range []string{a, b} {
		if _, err := selfsigned.Keep(f, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for more, problem := range map[string]string{
		"certificate_file: " + a + ", key_file: " + a:    "",
		"certificate_file: " + a + ", key_file: " + b:    "does not match",
		"certificate_file: " + a:                         "has no key",
		"key_file: " + a:                                 "has no certificate",
		"certificate_file: " + text + ", key_file: " + a: "failed to find",
		"certificate_file: /none, key_file: " + a:        "no such file",
	} {
		c := loadWith(tlsBase(more), map[string]string{"PW": "secret"})
		var out bytes.Buffer
		c.write(&out)
		if got := c.errors() > 0; got != (problem != "") || !strings.Contains(out.String(), problem) {
			t.Errorf("%s: %s", more, out.String())
		}
	}
}

func TestGatewayKeepsItsKeyForTheLAN(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := loadWith(base+"state_dir: "+dir+"\n", map[string]string{"PW": "secret"})
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	key := func(c *config, lasting bool) []byte {
		t.Helper()
		cert, err := c.lanCertificate(lasting, log)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.RawSubjectPublicKeyInfo
	}
	first := key(c, true)
	if !bytes.Equal(first, key(c, true)) {
		t.Error("another key at the next start")
	}
	if bytes.Equal(first, key(c, false)) {
		t.Error("the state directory was used although it must not be")
	}
	own := filepath.Join(t.TempDir(), "own.pem")
	cert, err := selfsigned.Keep(own, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c = loadWith(tlsBase("certificate_file: "+own+", key_file: "+own), map[string]string{"PW": "secret"})
	if !bytes.Equal(cert.Leaf.RawSubjectPublicKeyInfo, key(c, true)) {
		t.Error("not the configured one")
	}
	if logged.Len() > 0 {
		t.Errorf("log: %s", &logged)
	}
	c = loadWith(base+"state_dir: "+filepath.Join(dir, "none")+"\n", map[string]string{"PW": "secret"})
	if key(c, true); !strings.Contains(logged.String(), "mend=") {
		t.Errorf("a key that cannot be kept: log %s", &logged)
	}
}

func TestKeysOfPeersOutliveTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), stateFile)
	st, _ := openedState(t, path)
	key := bytes.Repeat([]byte{7}, 32)
	if err := st.pins.SetPin("Romeo@h3", key); err != nil {
		t.Fatal(err)
	}
	end(t, st)
	st, _ = openedState(t, path)
	defer end(t, st)
	if got, ok := st.pins.Pin("ROMEO@h3"); !ok || !bytes.Equal(got, key) {
		t.Errorf("key %x, %v", got, ok)
	}
	if _, ok := st.pins.Pin("juliet@h3"); ok {
		t.Error("a key of somebody else")
	}
	if known, err := st.pins.forget("romeo@H3"); !known || err != nil {
		t.Errorf("forget: %v, %v", known, err)
	}
	if _, ok := st.pins.Pin("romeo@h3"); ok {
		t.Error("not forgotten")
	}
	if known, err := st.pins.forget("romeo@h3"); known || err != nil {
		t.Errorf("forget again: %v, %v", known, err)
	}
}

func TestForgetAsksTheGateway(t *testing.T) {
	st, _ := openedState(t, filepath.Join(t.TempDir(), stateFile))
	defer end(t, st)
	if err := st.pins.SetPin("Dr. J (2)@h3", bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	path := served(t, status.Config{Forget: st.pins.forget})
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"Dr. J (2)@h3"}, exitOK, "is forgotten"},
		{[]string{"Dr. J (2)@h3"}, exitFailed, "no key is known"},
		{nil, exitUsage, "whose key?"},
		{[]string{"a", "b"}, exitUsage, "what is"},
	} {
		var out bytes.Buffer
		args := append([]string{"forget", "-socket", path}, tt.args...)
		if code := realMain(args, process{stdout: &out, stderr: &out, getenv: noEnv}); code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%q: code %d, %s", tt.args, code, &out)
		}
	}
}

var _ linklocal.Pins = (*pins)(nil)
