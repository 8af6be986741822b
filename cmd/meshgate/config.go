package main

import (
	"time"

	"meshgate/bridge/dsps"
)

// A fileConfig is the shape of the configuration file. A field's tags are its
// rules (see decoder); what they mean to a person stands in
// config.example.yaml, which a test compares with the tags and with defaults.
type fileConfig struct {
	Account   accountConfig   `yaml:"account"`
	LAN       lanConfig       `yaml:"lan"`
	Concierge conciergeConfig `yaml:"concierge"`
	Contacts  []contactConfig `yaml:"contacts"`
	Peers     []string        `yaml:"peers"`
	PeerRules []peerRule      `yaml:"peer_contacts"`
	Rooms     []roomConfig    `yaml:"rooms"`
	Site      string          `yaml:"site"`
	Streams   streamsConfig   `yaml:"streams"`
	Limits    limitsConfig    `yaml:"limits"`
	Outbox    outboxConfig    `yaml:"outbox"`
	CatchUp   catchUpConfig   `yaml:"catch_up"`
	Log       logConfig       `yaml:"log"`
	Control   string          `yaml:"control"`
	StateDir  string          `yaml:"state_dir"`
	Grace     time.Duration   `yaml:"grace" range:"1s 5m"`
}

type accountConfig struct {
	JID        string   `yaml:"jid"`
	Password   string   `yaml:"password"`
	File       string   `yaml:"password_file"`
	Env        string   `yaml:"password_env"`
	Credential string   `yaml:"password_credential"`
	Server     string   `yaml:"server"`
	TLS        string   `yaml:"tls" choice:"starttls direct none"`
	CAFile     string   `yaml:"ca_file"`
	Pins       []string `yaml:"pins"`
	AllowPlain bool     `yaml:"allow_plain"`
	OnStop     string   `yaml:"on_stop" choice:"resumable logout"`
	Avatar     string   `yaml:"avatar"`
}

type lanConfig struct {
	Interfaces []string      `yaml:"interfaces"`
	IPv6       bool          `yaml:"ipv6"`
	Machine    string        `yaml:"machine"`
	Rename     string        `yaml:"rename" choice:"digit hyphen"`
	Discover   bool          `yaml:"discover"`
	Idle       time.Duration `yaml:"idle" range:"5s 24h"`
	Publish    publishConfig `yaml:"publish"`
	TLS        lanTLSConfig  `yaml:"tls"`
}

type lanTLSConfig struct {
	Incoming        string `yaml:"incoming" choice:"off offer require"`
	Outgoing        string `yaml:"outgoing" choice:"off offer require"`
	CertificateFile string `yaml:"certificate_file"`
	KeyFile         string `yaml:"key_file"`
	Warn            bool   `yaml:"warn"`
}

type conciergeConfig struct {
	Name string `yaml:"name"`
}

type contactConfig struct {
	JID     string `yaml:"jid"`
	Name    string `yaml:"name"`
	Nick    string `yaml:"nick"`
	First   string `yaml:"first"`
	Last    string `yaml:"last"`
	Email   string `yaml:"email"`
	Offline string `yaml:"offline" choice:"withdraw show"`

	Publish contactPublish `yaml:"publish"`
}

type peerRule struct {
	Peer     string   `yaml:"peer"`
	Contacts []string `yaml:"contacts"`
}

type roomConfig struct {
	Name      string        `yaml:"name"`
	MUC       string        `yaml:"muc"`
	Nick      string        `yaml:"nick"`
	File      string        `yaml:"password_file"`
	Group     string        `yaml:"group"`
	Make      bool          `yaml:"make"`
	Advertise bool          `yaml:"advertise"`
	Peers     []string      `yaml:"peers"`
	Announce  bool          `yaml:"announce"`
	History   historyConfig `yaml:"history"`
}

type historyConfig struct {
	Lines int           `yaml:"lines" range:"0 100"`
	Age   time.Duration `yaml:"age" range:"1m 168h"`
}

type streamsConfig struct {
	Enabled         bool     `yaml:"enabled"`
	Host            string   `yaml:"host"`
	LANHost         string   `yaml:"lan_host"`
	Listen          string   `yaml:"listen"`
	Port            int      `yaml:"port" range:"1 65535"`
	CertificateFile string   `yaml:"certificate_file"`
	KeyFile         string   `yaml:"key_file"`
	Create          []string `yaml:"create"`
	Relays          []string `yaml:"relays"`
	MaxStreams      int      `yaml:"max_streams" range:"1 4096"`
	MaxPeers        int      `yaml:"max_peers" range:"2 512"`
	Sessions        int      `yaml:"sessions" range:"0 64"`
	StreamRate      int      `yaml:"stream_bytes_per_second" range:"0 1000000000"`
	Rate            int      `yaml:"bytes_per_second" range:"0 1000000000"`
	// PublicRate is what those who joined unasked have to take in a second.
	PublicRate int           `yaml:"public_bytes_per_second" range:"0 1000000000"`
	Drain      time.Duration `yaml:"drain" range:"10s 24h"`
}

type limitsConfig struct {
	PeerPerMinute    int `yaml:"peer_messages_per_minute" range:"1 1000000"`
	PeerBurst        int `yaml:"peer_burst" range:"1 100000"`
	ContactPerMinute int `yaml:"contact_messages_per_minute" range:"1 1000000"`
	ContactBurst     int `yaml:"contact_burst" range:"1 100000"`
	Body             int `yaml:"body" range:"256 65536"`
	Peers            int `yaml:"peers" range:"1 10000"`
	StreamStanzas    int `yaml:"stream_stanzas_per_second" range:"1 1000000"`
	StreamBytes      int `yaml:"stream_bytes_per_second" range:"1024 1000000000"`
}

type outboxConfig struct {
	TTL      time.Duration `yaml:"ttl" range:"1m 720h"`
	Messages int           `yaml:"messages" range:"100 100000"`
}

type catchUpConfig struct {
	Age      time.Duration `yaml:"age" range:"0s 720h"`
	Messages int           `yaml:"messages" range:"1 10000"`
}

type logConfig struct {
	Level  string `yaml:"level" choice:"debug info warn error"`
	Format string `yaml:"format" choice:"auto text json"`
}

// defaults is what holds where the file says nothing.
func defaults() fileConfig {
	return fileConfig{
		Account:   accountConfig{TLS: "starttls", OnStop: "resumable", Avatar: avatarPeers},
		LAN:       lanConfig{IPv6: true, Rename: "digit", Discover: true, Idle: 10 * time.Minute, Publish: publishDefaults(), TLS: lanTLSConfig{Incoming: "offer", Outgoing: "offer", Warn: true}},
		Concierge: conciergeConfig{Name: "meshgate"},
		Streams:   streamsConfig{Port: dsps.DefaultPort, MaxStreams: 256, MaxPeers: 64, Sessions: 4, PublicRate: 65536, Drain: 10 * time.Minute},
		Limits: limitsConfig{
			PeerPerMinute: 60, PeerBurst: 20,
			ContactPerMinute: 60, ContactBurst: 20,
			Body: 8192, Peers: 1000,
			StreamStanzas: 20, StreamBytes: 65536,
		},
		Outbox:  outboxConfig{TTL: 72 * time.Hour, Messages: 10_000},
		CatchUp: catchUpConfig{Age: 168 * time.Hour, Messages: 1000},
		Control: "/run/meshgate/control.sock",

		StateDir: "/var/lib/meshgate",
		Log:      logConfig{Level: "info", Format: "auto"},
		Grace:    10 * time.Second,
	}
}

// setDefaults does the same for one entry of a list.
func (c *contactConfig) setDefaults() { c.Offline = "withdraw" }

func (r *roomConfig) setDefaults() {
	r.Make, r.Advertise, r.Announce, r.History.Age = true, true, true, time.Hour
}
