package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"image"
	"image/png"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/bridge"
	"meshgate/bridge/rooms"
	"meshgate/bridge/streams"
	"meshgate/clique"
	"meshgate/internal/selfsigned"
	"meshgate/linklocal"
	"meshgate/linklocal/mdns"
	"meshgate/xmppc2s"
)

// wiring is what the parts are told.
type wiring struct {
	Server xmppc2s.Config
	Hub    bridge.Config
	DNS    mdns.ConnConfig
	LAN    linklocal.Config
	Rooms  rooms.Config
	Clique clique.Config
	Cert   [][]byte // for the LAN
	Stream streams.Config
	Pair   [][]byte // certificate for those
	Secret string
	Log    logConfig
	Status string // the path of the control socket
	Grace  time.Duration
}

func wire(t *testing.T, text string) wiring {
	t.Helper()
	return wireWith(t, text, map[string]string{"PW": "secret"})
}

func wireWith(t *testing.T, text string, env map[string]string) wiring {
	t.Helper()
	c := loadWith(text, env)
	if c.errors() > 0 {
		c.write(t.Output())
		t.Fatalf("not a good configuration:\n%s", text)
	}
	w := wiring{DNS: c.mdnsConfig(nil), LAN: c.lanConfig(nil), Log: c.Log, Status: new(gateway).statusConfig(c, nil).Path, Grace: c.Grace}
	var err error
	if w.Secret, err = c.secret(); err != nil {
		t.Fatal(err)
	}
	if w.Server, err = c.serverConfig(w.Secret); err != nil {
		t.Fatal(err)
	}
	cert, err := c.ownCertificate()
	if err != nil {
		t.Fatal(err)
	}
	w.Cert = cert.Certificate
	if cert, err = c.readCertificate(c.Streams.CertificateFile, c.Streams.KeyFile); err != nil {
		t.Fatal(err)
	}
	w.Pair = cert.Certificate
	if w.Hub, err = c.hubConfig(); err != nil {
		t.Fatal(err)
	}
	if w.Rooms, err = c.roomsConfig(); err != nil {
		t.Fatal(err)
	}
	if w.Stream, err = c.streamsConfig(w.Hub); err != nil {
		t.Fatal(err)
	}
	w.Clique = c.cliqueConfig()
	return w
}

// base sets no more than it must; each case below replaces one of its lines or
// adds one.
const base = `account:
  jid: gw@example.org
  password_env: PW
  server: 127.0.0.1
lan:
  publish:
concierge:
contacts:
- jid: bob@example.org
- jid: eve@example.org
peers: ["*@h2"]
peer_contacts:
- peer: a@h2
  contacts: [bob@example.org]
rooms:
- name: Witchcraft
  muc: w@muc.example.org
streams: {enabled: true, host: here}
limits:
log:
`

// Every key of the file has an effect on some part.
func TestEveryKeyReachesAPart(t *testing.T) {
	pw := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(pw, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PW": "secret", "PW2": "other", credentialsDir: filepath.Dir(pw)}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, testCA(t), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := filepath.Join(t.TempDir(), "pair.pem")
	if _, err := selfsigned.Keep(pair, time.Now()); err != nil {
		t.Fatal(err)
	}
	changes := map[string][2]string{ // key: what is replaced, and by what
		"account":                            {"gw@example.org", "other@example.org"},
		"account.jid":                        {"gw@example.org", "gw@example.org/other"},
		"account.password":                   {"password_env: PW", "password: other"},
		"account.password_file":              {"password_env: PW", "password_file: " + pw},
		"account.password_env":               {"password_env: PW", "password_env: PW2"},
		"account.password_credential":        {"password_env: PW", "password_credential: pw"},
		"account.server":                     {"server: 127.0.0.1", "server: 127.0.0.2:5223"},
		"account.tls":                        {"server: 127.0.0.1", "server: 127.0.0.1\n  tls: none"},
		"account.ca_file":                    {"server:", "ca_file: " + ca + "\n  server:"},
		"account.pins":                       {"server:", "pins: [" + strings.Repeat("ab", 32) + "]\n  server:"},
		"account.allow_plain":                {"server:", "allow_plain: true\n  server:"},
		"account.on_stop":                    {"server:", "on_stop: logout\n  server:"},
		"lan":                                {"lan:", "lan:\n  interfaces: [eth7]"},
		"lan.interfaces":                     {"lan:", "lan:\n  interfaces: [eth7]"},
		"lan.ipv6":                           {"lan:", "lan:\n  ipv6: false"},
		"lan.machine":                        {"lan:", "lan:\n  machine: gw7"},
		"lan.rename":                         {"lan:", "lan:\n  rename: hyphen"},
		"lan.discover":                       {"lan:", "lan:\n  discover: false"},
		"lan.idle":                           {"lan:", "lan:\n  idle: 7m"},
		"lan.publish":                        {"publish:", "publish: {first: true}"},
		"lan.publish.nick":                   {"publish:", "publish: {nick: false}"},
		"lan.publish.first":                  {"publish:", "publish: {first: true}"},
		"lan.publish.last":                   {"publish:", "publish: {last: true}"},
		"lan.publish.jid":                    {"publish:", "publish: {jid: true}"},
		"lan.publish.email":                  {"publish:", "publish: {email: true}"},
		"lan.publish.status":                 {"publish:", "publish: {status: false}"},
		"lan.publish.msg":                    {"publish:", "publish: {msg: false}"},
		"lan.publish.icon":                   {"publish:", "publish: {icon: false}"},
		"lan.publish.vc":                     {"publish:", "publish: {vc: true}"},
		"lan.publish.caps":                   {"publish:", "publish: {caps: false}"},
		"lan.publish.port":                   {"publish:", "publish: {port: false}"},
		"lan.publish.txtvers":                {"publish:", "publish: {txtvers: false}"},
		"concierge":                          {"concierge:", "concierge: {name: gate}"},
		"concierge.name":                     {"concierge:", "concierge: {name: gate}"},
		"contacts":                           {"- jid: eve@example.org\n", ""},
		"contacts[].jid":                     {"eve@example.org", "eva@example.org"},
		"contacts[].name":                    {"eve@example.org", "eve@example.org\n  name: Eva"},
		"contacts[].nick":                    {"eve@example.org", "eve@example.org\n  nick: Eva"},
		"contacts[].first":                   {"eve@example.org", "eve@example.org\n  first: Eva"},
		"contacts[].last":                    {"eve@example.org", "eve@example.org\n  last: Eva"},
		"contacts[].email":                   {"eve@example.org", "eve@example.org\n  email: eva@example.org"},
		"contacts[].publish":                 {"eve@example.org", "eve@example.org\n  publish: {jid: true}"},
		"contacts[].publish.nick":            {"eve@example.org", "eve@example.org\n  publish: {nick: false}"},
		"contacts[].publish.first":           {"eve@example.org", "eve@example.org\n  publish: {first: true}"},
		"contacts[].publish.last":            {"eve@example.org", "eve@example.org\n  publish: {last: true}"},
		"contacts[].publish.jid":             {"eve@example.org", "eve@example.org\n  publish: {jid: true}"},
		"contacts[].publish.email":           {"eve@example.org", "eve@example.org\n  publish: {email: true}"},
		"contacts[].publish.status":          {"eve@example.org", "eve@example.org\n  publish: {status: false}"},
		"contacts[].publish.msg":             {"eve@example.org", "eve@example.org\n  publish: {msg: false}"},
		"contacts[].publish.icon":            {"eve@example.org", "eve@example.org\n  publish: {icon: false}"},
		"contacts[].publish.vc":              {"eve@example.org", "eve@example.org\n  publish: {vc: true}"},
		"contacts[].publish.caps":            {"eve@example.org", "eve@example.org\n  publish: {caps: false}"},
		"contacts[].publish.port":            {"eve@example.org", "eve@example.org\n  publish: {port: false}"},
		"contacts[].publish.txtvers":         {"eve@example.org", "eve@example.org\n  publish: {txtvers: false}"},
		"contacts[].offline":                 {"eve@example.org", "eve@example.org\n  offline: show"},
		"peers":                              {"*@h2", "*@h3"},
		"peer_contacts":                      {"peer: a@h2", "peer: b@h2"},
		"peer_contacts[].peer":               {"peer: a@h2", "peer: b@h2"},
		"peer_contacts[].contacts":           {"[bob@example.org]", "[eve@example.org]"},
		"rooms":                              {"Witchcraft", "Plot"},
		"rooms[].name":                       {"Witchcraft", "Plot"},
		"rooms[].muc":                        {"w@muc", "v@muc"},
		"rooms[].nick":                       {"Witchcraft", "Witchcraft\n  nick: gate"},
		"rooms[].password_file":              {"Witchcraft", "Witchcraft\n  password_file: " + pw},
		"rooms[].group":                      {"Witchcraft", "Witchcraft\n  group: 239.255.71.7:7777"},
		"rooms[].make":                       {"Witchcraft", "Witchcraft\n  make: false"},
		"rooms[].advertise":                  {"Witchcraft", "Witchcraft\n  advertise: false"},
		"rooms[].peers":                      {"Witchcraft", "Witchcraft\n  peers: [x@h3]"},
		"rooms[].announce":                   {"Witchcraft", "Witchcraft\n  announce: false"},
		"rooms[].history":                    {"Witchcraft", "Witchcraft\n  history: {lines: 7}"},
		"rooms[].history.lines":              {"Witchcraft", "Witchcraft\n  history: {lines: 7}"},
		"rooms[].history.age":                {"Witchcraft", "Witchcraft\n  history: {age: 7m}"},
		"site":                               {"limits:", "site: here\nlimits:"},
		"streams":                            {"enabled: true", "enabled: false"},
		"streams.enabled":                    {"enabled: true", "enabled: false"},
		"streams.host":                       {"here", "there"},
		"streams.lan_host":                   {"here", "here, lan_host: there"},
		"streams.listen":                     {"here", "here, listen: 127.0.0.7"},
		"streams.port":                       {"here", "here, port: 7777"},
		"streams.certificate_file":           {"here", "here, certificate_file: " + pair + ", key_file: " + pair},
		"streams.key_file":                   {"here", "here, certificate_file: " + pair + ", key_file: " + pair},
		"streams.create":                     {"here", "here, create: [bob@example.org]"},
		"streams.relays":                     {"here", "here, relays: [there]"},
		"streams.max_streams":                {"here", "here, max_streams: 7"},
		"streams.max_peers":                  {"here", "here, max_peers: 7"},
		"streams.sessions":                   {"here", "here, sessions: 7"},
		"streams.stream_bytes_per_second":    {"here", "here, stream_bytes_per_second: 7"},
		"streams.bytes_per_second":           {"here", "here, bytes_per_second: 7"},
		"streams.public_bytes_per_second":    {"here", "here, public_bytes_per_second: 0"},
		"streams.drain":                      {"here", "here, drain: 7m"},
		"limits":                             {"limits:", "limits: {body: 777}"},
		"limits.peer_messages_per_minute":    {"limits:", "limits: {peer_messages_per_minute: 7}"},
		"limits.peer_burst":                  {"limits:", "limits: {peer_burst: 7}"},
		"limits.contact_messages_per_minute": {"limits:", "limits: {contact_messages_per_minute: 7}"},
		"limits.contact_burst":               {"limits:", "limits: {contact_burst: 7}"},
		"limits.body":                        {"limits:", "limits: {body: 777}"},
		"limits.peers":                       {"limits:", "limits: {peers: 7}"},
		"limits.stream_stanzas_per_second":   {"limits:", "limits: {stream_stanzas_per_second: 7}"},
		"limits.stream_bytes_per_second":     {"limits:", "limits: {stream_bytes_per_second: 7777}"},
		"outbox":                             {"limits:", "outbox: {ttl: 7m}\nlimits:"},
		"outbox.ttl":                         {"limits:", "outbox: {ttl: 7m}\nlimits:"},
		"outbox.messages":                    {"limits:", "outbox: {messages: 700}\nlimits:"},
		"catch_up":                           {"limits:", "catch_up: {age: 7h}\nlimits:"},
		"catch_up.age":                       {"limits:", "catch_up: {age: 7h}\nlimits:"},
		"catch_up.messages":                  {"limits:", "catch_up: {messages: 7}\nlimits:"},
		"log":                                {"log:", "log: {level: debug}"},
		"log.level":                          {"log:", "log: {level: debug}"},
		"log.format":                         {"log:", "log: {format: json}"},
		"account.avatar":                     {"server:", "avatar: off\n  server:"},
		"lan.tls":                            {"lan:", "lan:\n  tls: {warn: false}"},
		"lan.tls.incoming":                   {"lan:", "lan:\n  tls: {incoming: require}"},
		"lan.tls.outgoing":                   {"lan:", "lan:\n  tls: {outgoing: off}"},
		"lan.tls.certificate_file":           {"lan:", "lan:\n  tls: {certificate_file: " + pair + ", key_file: " + pair + "}"},
		"lan.tls.key_file":                   {"lan:", "lan:\n  tls: {certificate_file: " + pair + ", key_file: " + pair + "}"},
		"lan.tls.warn":                       {"lan:", "lan:\n  tls: {warn: false}"},
		"state_dir":                          {"limits:", "state_dir: /tmp/x\nlimits:"},
		"control":                            {"limits:", "control: off\nlimits:"},
		"grace":                              {"limits:", "grace: 7s\nlimits:"},
	}
	was := wireWith(t, base, env)
	if !reflect.DeepEqual(wireWith(t, base, env), was) {
		t.Fatal("the same file gives two wirings")
	}
	for _, path := range pathsOf(reflect.TypeFor[fileConfig](), "") {
		change, ok := changes[path]
		if !ok {
			t.Errorf("no case for %s", path)
			continue
		}
		text := strings.Replace(base, change[0], change[1], 1)
		if text == base {
			t.Errorf("%s: nothing was replaced", path)
		}
		if reflect.DeepEqual(wireWith(t, text, env), was) {
			t.Errorf("%s has no effect on any part", path)
		}
	}
}

// testCA is a certificate in PEM form.
func testCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// LL-17: personal fields leave only where the file says so.
// IJ-05, IJ-06: with no peers and no contacts in the file, nobody gets through.
func TestWhatTheFileDoesNotSayIsDenied(t *testing.T) {
	w := wire(t, "account: {jid: gw@example.org, password: x}")
	want := linklocal.PublishKeys{Nick: true, Status: true, Msg: true, Icon: true, Caps: true, Port: true, TXTVers: true}
	if *w.LAN.Publish != want {
		t.Errorf("published by default: %+v, want %+v", *w.LAN.Publish, want)
	}
	if len(w.Hub.Peers) != 0 || len(w.Hub.Contacts) != 0 || len(w.Server.Contacts) != 0 {
		t.Errorf("let through by default: peers %v, contacts %v, %v", w.Hub.Peers, w.Hub.Contacts, w.Server.Contacts)
	}
	if w.Server.AllowPlainAuth || w.Server.InsecureNoTLS || w.Server.RootCAs != nil {
		t.Errorf("the server is trusted too much by default: %+v", w.Server)
	}
}

func TestPartsAreToldWhatTheFileSays(t *testing.T) {
	w := wire(t, `
account: {jid: gw@example.org/office, password: pw, server: "xmpp.example.org:5299", tls: direct, on_stop: logout}
lan: {interfaces: [eth1, wlan0], ipv6: false, machine: gw, rename: hyphen, discover: false, idle: 90s, publish: {first: true}}
contacts:
- {jid: Bob@example.org, name: bob, nick: Bobby, offline: show}
- {jid: eve@example.net}
peers: ["*@h2", carol@h1]
peer_contacts: [{peer: carol@h1, contacts: [eve@example.net]}]
`)
	s := w.Server
	if !s.JID.Equal(jid.MustParse("gw@example.org/office")) || s.Password != "pw" || s.Host != "xmpp.example.org" || s.Port != 5299 ||
		!s.DirectTLS || s.InsecureNoTLS || !s.CloseOnStop || w.Clique.Resumable || len(s.Contacts) != 2 || s.Contacts[0].String() != "bob@example.org" {
		t.Errorf("server: %+v", s)
	}
	bob := bridge.Contact{JID: jid.MustParse("bob@example.org"), User: "bob", Nick: "Bobby", Offline: bridge.ShowOffline, Publish: w.LAN.Publish}
	eve := bridge.Contact{JID: jid.MustParse("eve@example.net"), User: "eve", Publish: w.LAN.Publish}
	same := cmp.Comparer(func(a, b jid.JID) bool { return a.Equal(b) })
	if diff := cmp.Diff([]bridge.Contact{bob, eve}, w.Hub.Contacts, same); diff != "" {
		t.Errorf("contacts (-want +got):\n%s", diff)
	}
	rule := bridge.PeerRule{Peer: "carol@h1", Contacts: []jid.JID{jid.MustParse("eve@example.net")}}
	if diff := cmp.Diff([]bridge.PeerRule{rule}, w.Hub.PeerContacts, same); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if !slices.Equal(w.DNS.Interfaces, []string{"eth1", "wlan0"}) || w.DNS.IPv6 || w.DNS.Host != "gw" || w.LAN.Machine != "gw" || w.LAN.Discover || w.LAN.Idle != 90*time.Second || w.LAN.Rename != linklocal.RenameHyphen {
		t.Errorf("LAN: %+v, %+v", w.DNS, w.LAN)
	}
}

// LL-04, LL-17: a contact's own switches turn single keys, in the one direction
// and in the other, and leave the others as they are for all.
func TestAContactsPrivacyIsItsOwn(t *testing.T) {
	w := wire(t, `
account: {jid: gw@example.org, password: x}
contacts:
- {jid: bob@example.org, publish: {first: true, status: false}}
- {jid: eve@example.org}
lan: {publish: {last: true, msg: false}}
`)
	want := *w.LAN.Publish
	want.First, want.Status = true, false
	if got := w.Hub.Contacts[0].Publish; got == nil || *got != want || !got.Last || got.Msg {
		t.Errorf("bob: %+v, want %+v", got, want)
	}
	if got := w.Hub.Contacts[1].Publish; got == nil || *got != *w.LAN.Publish {
		t.Errorf("eve: %+v, want what holds for all", got)
	}
}

// LL-19: the capabilities are really published, and the same as on the network.
func TestCapabilitiesAreWired(t *testing.T) {
	if w := wire(t, good); w.LAN.Node != "urn:x-meshgate" || len(w.LAN.Features) == 0 {
		t.Errorf("node %q, features %q", w.LAN.Node, w.LAN.Features)
	}
}

// The name of this computer belongs to its own mDNS responder.
func TestHostNameIsOurOwnUnlessConfigured(t *testing.T) {
	w := wire(t, good)
	if w.LAN.Machine != "h1" || w.DNS.Host != "meshgate-h1" {
		t.Errorf("machine %q, host %q; want h1 and meshgate-h1", w.LAN.Machine, w.DNS.Host)
	}
}

// LL-15: whose picture is the account's.
func TestAvatarIsWired(t *testing.T) {
	const acc = "account: {jid: gw@example.org, password: x, avatar: %s}"
	file := filepath.Join(t.TempDir(), "me.png")
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := wire(t, "account: {jid: gw@example.org, password: x}").Hub; h.Avatar != bridge.AvatarPeers || h.AvatarImage != nil {
		t.Errorf("default: %v, %v", h.Avatar, h.AvatarImage)
	}
	if h := wire(t, fmt.Sprintf(acc, "off")).Hub; h.Avatar != bridge.AvatarOff || h.AvatarImage != nil {
		t.Errorf("off: %v, %v", h.Avatar, h.AvatarImage)
	}
	h := wire(t, fmt.Sprintf(acc, file)).Hub
	if want := (&linklocal.Icon{Data: b.Bytes(), Type: "image/png"}); h.Avatar != bridge.AvatarFixed || !reflect.DeepEqual(h.AvatarImage, want) {
		t.Errorf("file: %v, %v", h.Avatar, h.AvatarImage)
	}
	for text, want := range map[string]string{"wire_test.go": "not PNG, JPEG", "/nonexistent/x": "there is no such file"} {
		c := loadText(fmt.Sprintf(acc, text))
		if c.errors() != 1 || !strings.Contains(fmt.Sprint(c.list), want) {
			t.Errorf("%s: %v", text, c.list)
		}
	}
}
