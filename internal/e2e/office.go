package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// An Office is the lab with everything in it that the gateway is made for:
// the gateway beside an XMPP server on h1, and avahi with Bonjour users on the
// other hosts. The remote users are the test's own to start.
type Office struct {
	*Lab
	Server  *Server
	Gateway *Gateway
}

// OfficeOptions says what an office is like.
type OfficeOptions struct {
	Hosts    int                  // with h1; default 2
	FarHosts int                  // hosts after those, on a second LAN; the gateway's h1 then is on both
	IPv6     bool                 // beside IPv4
	IPv6Only bool                 // and no IPv4 on the LAN
	Ejabberd bool                 // instead of Prosody
	Users    []string             // on the server, beside the gateway; their password is "secret"; default alice
	Server   func(*ServerOptions) // further wishes
	Through  func(*Server) string // where the gateway reaches the server; default: directly
	Config   map[string]any       // keys of the gateway's configuration, as in ExampleConfig
	Gateway  GatewayOptions       // but Config
}

// GatewayUser is the gateway's account in an office, GatewayPassword its password.
const (
	GatewayUser     = "gateway"
	GatewayPassword = "a gateway's \"secret\" & more"
	UserPassword    = "secret"
)

// NewOffice makes an office without gateway: StartGateway opens it.
func NewOffice(tb TB, opt OfficeOptions) *Office {
	tb.Helper()
	if opt.Hosts == 0 {
		opt.Hosts = 2
	}
	if opt.Users == nil {
		opt.Users = []string{"alice"}
	}
	o := &Office{Lab: NewLab(tb, Options{Hosts: opt.Hosts, FarHosts: opt.FarHosts, IPv6: opt.IPv6, IPv6Only: opt.IPv6Only})}
	users := map[string]string{GatewayUser: GatewayPassword}
	for _, user := range opt.Users {
		users[user] = UserPassword
	}
	serverOpt := ServerOptions{Users: users}
	if opt.Server != nil {
		opt.Server(&serverOpt)
	}
	start := o.Host("h1").Prosody
	if opt.Ejabberd {
		start = o.Host("h1").Ejabberd
	}
	o.Server = start(serverOpt)
	return o
}

// OpenOffice makes an office and starts its gateway, which is ready, though
// perhaps not connected yet, when OpenOffice returns.
func OpenOffice(tb TB, opt OfficeOptions) *Office {
	tb.Helper()
	o := NewOffice(tb, opt)
	o.Avahi()
	o.StartGateway(opt)
	return o
}

// StartGateway starts the gateway on h1.
func (o *Office) StartGateway(opt OfficeOptions) {
	o.tb.Helper()
	gopt := opt.Gateway
	gopt.Config = o.Config(opt)
	if gopt.Ready == "" {
		gopt.Ready = `"msg":"ready"`
	}
	o.Gateway = o.Host("h1").Gateway(gopt)
}

// Config is the text of the gateway's configuration: config.example.yaml with
// what is particular to this office.
func (o *Office) Config(opt OfficeOptions) string {
	o.tb.Helper()
	addr := o.Server.LoopbackAddr()
	if opt.Through != nil {
		addr = opt.Through(o.Server)
	}
	users := opt.Users
	if users == nil {
		users = []string{"alice"}
	}
	var contacts []any
	for _, user := range users {
		contacts = append(contacts, map[string]any{"jid": o.Server.JID(user), "name": user})
	}
	set := map[string]any{
		"state_dir":            o.Host("h1").GatewayStateDir(),
		"account.jid":          o.Server.JID(GatewayUser),
		"account.password":     GatewayPassword,
		"account.password_env": nil,
		"account.server":       addr,
		"account.ca_file":      o.Server.CAFile,
		"lan.interfaces":       []any{"eth0"},
		"lan.machine":          "gw",
		"lan.tls.warn":         false, // one message more to whom the tests count messages
		"contacts":             contacts,
		"peers":                []any{"*"},
		"peer_contacts":        nil,
		"rooms":                nil,
	}
	for key, value := range opt.Config {
		set[key] = value
	}
	return ExampleConfig(o.tb, set)
}

// Mirror is the presence name of a remote user on the LAN, while nobody else
// holds it.
func (o *Office) Mirror(user string) string { return user + "@gw" }

// GatewayJID is the gateway's bare address.
func (o *Office) GatewayJID() string { return o.Server.JID(GatewayUser) }

// ExampleConfig is config.example.yaml with other values for some keys. A key
// is a path with dots; a nil value takes the key away.
func ExampleConfig(tb TB, set map[string]any) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(moduleRoot(tb), "config.example.yaml"))
	if err != nil {
		tb.Fatalf("e2e: %v", err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(b, &root); err != nil {
		tb.Fatalf("e2e: config.example.yaml: %v", err)
	}
	for key, value := range set {
		setKey(root, strings.Split(key, "."), value)
	}
	if b, err = yaml.Marshal(root); err != nil {
		tb.Fatalf("e2e: %v", err)
	}
	return string(b)
}

func setKey(m map[string]any, path []string, value any) {
	if len(path) == 1 {
		if value == nil {
			delete(m, path[0])
		} else {
			m[path[0]] = value
		}
		return
	}
	child, ok := m[path[0]].(map[string]any)
	if !ok {
		child = map[string]any{}
		m[path[0]] = child
	}
	setKey(child, path[1:], value)
}

// NoLimits are the configuration keys that protect people from floods, for a
// flood that is meant.
func NoLimits() map[string]any {
	return map[string]any{
		"limits.peer_messages_per_minute":    1_000_000,
		"limits.peer_burst":                  100_000,
		"limits.contact_messages_per_minute": 1_000_000,
		"limits.contact_burst":               100_000,
		"limits.stream_stanzas_per_second":   1_000_000,
		"limits.stream_bytes_per_second":     1_000_000_000,
		"limits.body":                        65_536,
	}
}

// moduleRoot is the directory of the module that the working directory is in.
func moduleRoot(tb TB) string {
	tb.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		tb.Fatalf("e2e: go env: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
