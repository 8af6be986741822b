package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func noEnv(string) string        { return "" }
func machineH1() (string, error) { return "h1.example.org", nil }

// loadText loads a configuration whose environment has PW set.
func loadText(text string) *config { return loadWith(text, map[string]string{"PW": "secret"}) }

func loadWith(text string, env map[string]string) *config {
	return load("-", host{stdin: strings.NewReader(text), getenv: func(k string) string { return env[k] }, name: machineH1})
}

// good is a configuration with nothing to say about; tests add to it. It has
// six lines.
const good = `account: {jid: gw@example.org, password_env: PW}
contacts:
- {jid: bob@example.org}
- {jid: eve@example.org, name: Eve}
peers: ["*@h2"]
log: {level: info}
`

func TestGoodConfigHasNoProblems(t *testing.T) {
	c := loadText(good)
	c.write(t.Output())
	if len(c.list) != 0 {
		t.Fatal("want no problem")
	}
	if c.Contacts[0].Name != "bob" || c.Contacts[0].Offline != "withdraw" || c.Limits.Body != 8192 {
		t.Errorf("defaults are missing: %+v", c.fileConfig)
	}
}

func TestProblemsInAPersonsWords(t *testing.T) {
	const acc = "account: {jid: gw@example.org, password_env: PW}\n"
	long := strings.Repeat("x", 64)
	for _, tt := range []struct{ name, text, want string }{
		// Keys.
		{"misspelt key", good + "lan: {idel: 5m}", `:7: lan.idel: there is no such key; did you mean idle?`},
		{"key of a former version", good + "lan: {interface: eth0}", `:7: lan.interface: there is no such key any more; write interfaces: [eth0]`},
		{"hyphen for underscore", good + "lan: {inter-face: x}", `:7: lan.inter-face: there is no such key; did you mean interfaces?`},
		{"key of another section", good + "jid: x", `:7: jid: there is no such key; did you mean account.jid? That belongs to another section: mind the indentation`},
		{"unknown key", good + "concierge: {colour: red}", `:7: concierge.colour: there is no such key; the keys here are name`},
		{"key twice", good + "peers: []", `:7: peers: is here twice, first in line 5; keep one of them`},
		{"key in a contact", acc + "peers: ['*']\ncontacts:\n- jid: a@b\n  nik: A", `:5: contacts[0].nik: there is no such key; did you mean nick?`},
		{"key is a list", good + "? [a]\n: b", `:7: a key must be a plain word; this one is a list`},
		{"merge key", good + "lan: {<<: {idle: 5m}}", `:7: lan: a key must be a plain word; this one is "<<"`},

		// Rooms.
		{"room without a name", good + "rooms: [{muc: a@b}]", `:7: rooms[0].name: is missing; write the name that the room has on the LAN, as in Witchcraft`},
		{"room without an address", good + "rooms: [{name: W}]", `:7: rooms[0].muc: is missing; write the room's address, as in room@conference.example.org`},
		{"no address", good + "rooms: [{name: W, muc: b}]", `:7: rooms[0].muc: "b" has no "@"; write an address, as in user@example.org`},
		{"somebody in a room", good + "rooms: [{name: W, muc: a@b/me}]", `:7: rooms[0].muc: a@b/me is somebody in a room; the room is a@b`},
		{"room twice", good + "rooms:\n- {name: W, muc: a@b}\n- {name: w, muc: c@b}", `:9: rooms[1].name: "w" is a room already, in line 8`},
		{"MUC twice", good + "rooms:\n- {name: W, muc: a@b}\n- {name: V, muc: A@b}", `:9: rooms[1].muc: "a@b" is a room already, in line 8`},
		{"person and room", good + "rooms: [{name: W, muc: bob@example.org}]", `:7: rooms[0].muc: bob@example.org is in the list of contacts; it cannot be a person and a room`},
		{"long name of a room", good + "rooms: [{muc: a@b, name: " + long + "}]", `:7: rooms[0].name: has 64 bytes; 63 is the most`},
		{"blanks around a nick", good + "rooms: [{name: W, muc: a@b, nick: ' me'}]", `:7: rooms[0].nick: is " me"; take off the blanks around it`},
		{"group without port", good + "rooms: [{name: W, muc: a@b, group: 239.255.71.1}]", `:7: rooms[0].group: "239.255.71.1" is no address with a port; write it as in 239.255.71.66:13251`},
		{"group of one", good + "rooms: [{name: W, muc: a@b, group: '192.0.2.1:5000'}]", `:7: rooms[0].group: 192.0.2.1 is no multicast address; rooms are in 239.255.71.1 to 239.255.71.253, as a rule`},
		{"low port", good + "rooms: [{name: W, muc: a@b, group: '239.255.71.1:80'}]", `:7: rooms[0].group: has the port 80; it must be from 1024 to 65535`},
		{"streams at no host", good + "streams: {enabled: true}", `:7: streams.host: is missing; write the name or the address by which contacts reach this machine, as in gw.example.org`},
		{"stream host with a port", good + "streams: {host: 'x:7'}", `:7: streams.host: "x:7" has a port; that is streams.port`},
		{"stream host on the LAN", good + "streams: {lan_host: 'x/y'}", `:7: streams.lan_host: "x/y" is no server; write a host name or an address, as in xmpp.example.org or 192.0.2.1:5222`},
		{"streams at a name", good + "streams: {listen: eth0}", `:7: streams.listen: "eth0" is no address of this machine, as in 192.0.2.1; leave it out to listen on all of them`},
		{"relay without host", good + "streams: {relays: [':7']}", `:7: streams.relays[0]: ":7" is no server; write a host name or an address, as in xmpp.example.org or 192.0.2.1:5222`},
		{"stream key alone", good + "streams: {key_file: /nowhere}", `:7: streams.key_file: has no certificate; write certificate_file, too`},
		{"creators", good + "streams: {create: [" + strings.Repeat("x", 64) + "]}", `:7: streams.create[0]: has 64 bytes; a presence name has at most 63`},
		{"little to catch up", good + "catch_up: {age: 0s}\nrooms: [{name: W, muc: a@b}]", `:7: catch_up.age: warning: is less than the 10 minutes that count in rooms, where the gateway has to see what became of lines that were on their way`},
		{"IPv6 that is off", good + "lan: {ipv6: false}\nrooms: [{name: W, muc: a@b, group: '[ff02::7]:5000'}]", `:8: rooms[0].group: [ff02::7]:5000 is IPv6, and lan.ipv6 is false`},
		{"no password", good + "rooms: [{name: W, muc: a@b, password_file: /nonexistent/x}]", `:7: rooms[0].password_file: /nonexistent/x: there is no such file`},
		{"too much history", good + "rooms: [{name: W, muc: a@b, history: {lines: 101}}]", `:7: rooms[0].history.lines: is 101; it must be from 0 to 100`},

		// Types.
		{"text for a section", good + "lan: eth0", `:7: lan: must be a section with the keys interfaces, ipv6, machine, rename, discover, idle, publish, tls; it is "eth0"`},
		{"list for a section", good + "lan: [eth0]", `:7: lan: must be a section with the keys interfaces, ipv6, machine, rename, discover, idle, publish, tls; it is a list`},
		{"text for a list", acc + "contacts: [{jid: a@b}]\npeers: bob@h2", `:3: peers: must be a list, each entry in a line of its own that begins with "- "; it is "bob@h2"`},
		{"section for a text", good + "concierge: {name: {a: b}}", `:7: concierge.name: must be a text; it is a section with keys`},
		{"list for a number", good + "limits: {body: [1]}", `:7: limits.body: must be a number; it is a list`},
		{"no value", good + "concierge:\n  name: #gate", `:8: concierge.name: has no value; write a text, or remove the line (what follows a # is a comment: a value with # in it needs quotes)`},
		{"empty text", good + "concierge: {name: ''}", `:7: concierge.name: is an empty text; write something, or remove the line`},
		{"empty entry", acc + "contacts:\n- jid: a@b\n-\npeers: ['*']", `:4: contacts[1]: is an empty entry; remove the "-" or write something behind it`},
		{"no number", good + "limits: {body: 8k}", `:7: limits.body: is "8k"; it must be a whole number`},
		{"number too small", good + "limits: {peer_burst: 0}", `:7: limits.peer_burst: is 0; it must be from 1 to 100000`},
		{"number too large", good + "limits: {body: 99999999999999999999}", `:7: limits.body: is "99999999999999999999"; it must be a whole number`},
		{"neither true nor false", good + "lan: {discover: yes}", `:7: lan.discover: is "yes"; it can be true or false`},
		{"time without unit", good + "grace: 10", `:7: grace: is "10" without a unit; write 10s for seconds or 10m for minutes`},
		{"no time", good + "grace: 10 seconds", `:7: grace: is "10 seconds"; it must be a time with its unit: 30s, 5m or 1h30m`},
		{"time out of range", good + "grace: 24h", `:7: grace: is 24h; it must be from 1s to 5m`},
		{"negative time", good + "lan: {idle: -5m}", `:7: lan.idle: is -5m; it must be from 5s to 24h`},
		{"wrong choice", good + "lan: {publish: {last: maybe}}", `:7: lan.publish.last: is "maybe"; it can be true or false`},
		{"wrong level", strings.Replace(good, "info", "loud", 1), `:6: log.level: is "loud"; it can be debug, info, warn or error`},
		{"alias", good + "concierge: {name: *x}", `:7: this is not YAML (unknown anchor 'x' referenced): a value that begins with * needs quotes, as in "*@frontdesk"`},
		{"anchor", good + "concierge: {name: &x y}", `:7: concierge.name: anchors (&x) are not supported: write the value itself, or put quotes around it`},
		{"tag", good + "concierge: {name: !!binary eA==}", `:7: concierge.name: YAML tags (!!binary) are not supported: remove the tag, or put quotes around the value`},

		// Syntax.
		{"empty file", "", `: it is empty; start from config.example.yaml`},
		{"only a comment", "# soon\n", `: it is empty; start from config.example.yaml`},
		{"tab", "account:\n\tjid: a@b\n", `:2: the line is indented by a tab; use spaces`},
		{"open quote", "account:\n  jid: \"a@b\n", `:2: this is not YAML (found unexpected end of stream): a quote or a bracket is not closed`},
		{"value with a colon", "account: a: b\n", `:1: this is not YAML (mapping values are not allowed in this context): is the indentation of this line or the one above wrong, or does a value with a colon need quotes?`},
		{"bad indentation", good + "lan:\n    idle: 5m\n  discover: true\n", `:9: this is not YAML (did not find expected key): are the keys from here on indented alike? Do quotes stand around the whole value?`},
		{"text behind quotes", "concierge:\n  name: \"gate\" way\n", `:2: this is not YAML (did not find expected key): are the keys from here on indented alike? Do quotes stand around the whole value?`},
		{"open bracket", "peers: [a@b\ngrace: 10s\n", `:2: this is not YAML (did not find expected ',' or ']'): a bracket is not closed, or a comma is missing`},
		{"star", "peers:\n- *@h2\n", `:2: this is not YAML (did not find expected alphabetic or numeric character): a value that begins with * or & needs quotes, as in "*@frontdesk"`},
		{"at", "peers:\n- @h2\n", `:2: this is not YAML (found character that cannot start any token): a value that begins with @, % or a backquote needs quotes`},
		{"two documents", good + "---\na: b\n", `:7: a second document begins here (---); one file has one configuration`},
		{"no text", "account:\n  jid: \xff\n", `:2: there is a byte that is no text (UTF-8); remove it`},
		{"control", "account:\n  jid: \x01\n", `:2: there is a byte that is no text (UTF-8); remove it`},
		{"huge", strings.Repeat("#", maxConfigBytes+1), `: it is larger than 1024 KiB: this is not a configuration of meshgate`},
		{"deep brackets", "\nlan: " + strings.Repeat("[", 100000), `:2: brackets or lists are nested more than 64 deep; nothing in this file needs that`},
		{"deep lists", strings.Repeat("- ", 100000), `:1: brackets or lists are nested more than 64 deep; nothing in this file needs that`},
		{"too many entries", acc + "contacts: [{jid: a@b}]\npeers: [" + strings.Repeat("a@b,", 1001) + "]", `:3: peers: has 1001 entries; 1000 is the most`},

		// The account.
		{"no account", "peers: ['*']\ncontacts: [{jid: a@b}]", `:1: account.jid: is missing; write the address of the gateway's own account, as in gateway@example.org
:1: account: there is no password; write password_file: with the name of a file that holds it, or password_env: with the name of an environment variable`},
		{"domain for an address", strings.Replace(good, "gw@example.org", "example.org", 1), `:1: account.jid: "example.org" has no "@"; write an address, as in user@example.org`},
		{"bad address", strings.Replace(good, "gw@example.org", "'@example.org'", 1), `:1: account.jid: "@example.org" is not a valid address; write it as in user@example.org`},
		{"blank in address", strings.Replace(good, "gw@example.org", "g w@example.org", 1), `:1: account.jid: "g w@example.org" has a blank in it; an address has none`},
		{"link", strings.Replace(good, "gw@example.org", "'xmpp:gw@example.org'", 1), `:1: account.jid: "xmpp:gw@example.org" is a link; leave off "xmpp:"`},
		{"two passwords", strings.Replace(good, "password_env", "password: x, password_env", 1), `:1: account.password_env: the password is given twice, by password and password_env; keep one of them`},
		{"no variable", strings.Replace(good, "PW", "NONE", 1), `:1: account.password_env: warning: the environment variable NONE is not set; it must be when the gateway runs`},
		{"no credential", strings.Replace(good, "password_env: PW", "password_credential: pw", 1), `:1: account.password_credential: warning: systemd has given no credentials (CREDENTIALS_DIRECTORY is not set); it must when the gateway runs`},
		{"credential is a path", strings.Replace(good, "password_env: PW", "password_credential: ../pw", 1), `:1: account.password_credential: "../pw" is no name of a credential; write the part before the colon of LoadCredential=`},
		{"no password file", strings.Replace(good, "password_env: PW", "password_file: /nonexistent/pw", 1), `:1: account.password_file: /nonexistent/pw: there is no such file`},
		{"server is a link", strings.Replace(good, "jid: gw", "server: 'xmpp://x.org', jid: gw", 1), `:1: account.server: "xmpp://x.org" is no server; write a host name or an address, as in xmpp.example.org or 192.0.2.1:5222`},
		{"bad port", strings.Replace(good, "jid: gw", "server: 'x.org:70000', jid: gw", 1), `:1: account.server: "x.org:70000" has the port "70000"; a port is a number from 1 to 65535`},
		{"no TLS to afar", strings.Replace(good, "jid: gw", "server: 'x.org', tls: none, jid: gw", 1), `:1: account.tls: none is for tests with a server on this machine only (account.server: 127.0.0.1, ::1 or localhost); use starttls or direct`},
		{"no TLS at home", strings.Replace(good, "jid: gw", "server: '[::1]:5222', tls: none, jid: gw", 1), ``},
		{"no CA file", strings.Replace(good, "jid: gw", "ca_file: /nonexistent/ca, jid: gw", 1), `:1: account.ca_file: /nonexistent/ca: there is no such file`},
		{"no certificate", strings.Replace(good, "jid: gw", "ca_file: config_test.go, jid: gw", 1), `:1: account.ca_file: config_test.go holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`},
		{"CA file is a directory", strings.Replace(good, "jid: gw", "ca_file: ., jid: gw", 1), `:1: account.ca_file: . is no ordinary file`},
		{"bad pin", strings.Replace(good, "jid: gw", "pins: [abc], jid: gw", 1), `:1: account.pins[0]: "abc" is no pin; write the SHA-256 of the server's public key in hex (64 digits) or base64 (44 characters)`},
		{"good pins", strings.Replace(good, "jid: gw", "pins: ['sha256:"+strings.Repeat("0a", 32)+"', "+strings.Repeat("A", 43)+"=], jid: gw", 1), ``},

		// People.
		{"no address", acc + "peers: ['*']\ncontacts: [{name: bob}]", `:3: contacts[0].jid: is missing; write the contact's address, as in bob@example.org`},
		{"contact's domain", acc + "peers: ['*']\ncontacts:\n- jid: bob", `:4: contacts[0].jid: "bob" has no "@"; write an address, as in user@example.org`},
		{"contact's device", acc + "peers: ['*']\ncontacts: [{jid: bob@b.org/phone}]", `:3: contacts[0].jid: bob@b.org/phone is one device of a person; write bob@b.org`},
		{"contact is the gateway", acc + "peers: ['*']\ncontacts: [{jid: GW@example.org}]", `:3: contacts[0].jid: gw@example.org is the gateway's own account; it cannot be its own contact`},
		{"contact twice", acc + "peers: ['*']\ncontacts:\n- jid: bob@b.org\n- jid: Bob@b.org", `:5: contacts[1].jid: bob@b.org is a contact already, in line 4`},
		{"name twice", acc + "peers: ['*']\ncontacts:\n- jid: bob@b.org\n- jid: x@b.org\n  name: BOB", `:6: contacts[1].name: the name "BOB" on the LAN is taken by the contact in line 4; give this contact another name`},
		{"default name twice", acc + "peers: ['*']\ncontacts:\n- jid: bob@b.org\n- jid: bob@c.org", `:5: contacts[1].name: the name "bob" on the LAN is taken by the contact in line 4; give this contact another name`},
		{"concierge's name", acc + "peers: ['*']\ncontacts: [{jid: meshgate@b.org}]", `:3: contacts[0].name: the name "meshgate" on the LAN is taken by the gateway itself (concierge.name); give this contact another name`},
		{"name with @", acc + "peers: ['*']\ncontacts: [{jid: a@b.org, name: a@h1}]", `:3: contacts[0].name: is "a@h1"; leave out the "@": the machine's name is added by itself`},
		{"name too long", acc + "peers: ['*']\ncontacts: [{jid: a@b.org, name: " + long + "}]", `:3: contacts[0].name: has 64 bytes; with @h1 behind it, 56 is the most`},
		{"name of two lines", acc + "peers: ['*']\ncontacts: [{jid: a@b.org, name: \"a\\nb\"}]", `:3: contacts[0].name: is "a\nb"; it must be one line of text`},
		{"name with a dot", acc + "peers: ['*']\ncontacts: [{jid: a.b@b.org}]", `:3: contacts[0].name: warning: "a.b" has a dot or a backslash; Pidgin shows no picture for such a name`},
		{"concierge with brackets", good + "concierge: {name: '[gw]'}", `:7: concierge.name: is "[gw]"; it must be without brackets, backslashes and dots`},
		{"wrong offline", acc + "peers: ['*']\ncontacts: [{jid: a@b.org, offline: hide}]", `:3: contacts[0].offline: is "hide"; it can be withdraw or show`},
		{"nobody", acc, `:1: contacts: warning: there are none: nobody on the LAN will see anybody of the network
:1: peers: warning: nobody on the LAN may use the gateway; list who may, as in "bob@laptop" or "*@frontdesk"`},
		{"peer without machine", strings.Replace(good, "*@h2", "bob", 1), `:5: peers[0]: warning: "bob" has no "@"; presence names look like bob@laptop, and bob@* is bob on any machine`},
		{"peer twice", strings.Replace(good, `"*@h2"`, "a@b, a@b", 1), `:5: peers[1]: warning: "a@b" is in the list twice`},
		{"peer too long", strings.Replace(good, `*@h2`, long, 1), `:5: peers[0]: has 64 bytes; a presence name has at most 63`},
		{"interfaces", good + "lan: {interfaces: [" + strings.Repeat("eth0, ", 17) + "]}", `:7: lan.interfaces: has 17 entries; 16 is the most`},
		{"machine", good + "lan: {machine: my.host}", `:7: lan.machine: is "my.host"; it can have the letters a to z, digits and hyphens, as in "my-host"`},
		{"rule without peer", good + "peer_contacts: [{contacts: [bob@example.org]}]", `:7: peer_contacts[0].peer: is missing; write whom this is about, as in bob@laptop`},
		{"rule without contacts", good + "peer_contacts: [{peer: a@h2}]", `:7: peer_contacts[0].contacts: warning: is empty: nobody may be written to by a@h2`},
		{"rule for a stranger", good + "peer_contacts: [{peer: a@h2, contacts: [zoe@example.org]}]", `:7: peer_contacts[0].contacts[0]: zoe@example.org is not in the list of contacts`},
		{"rule for no address", good + "peer_contacts: [{peer: a@h2, contacts: [bob]}]", `:7: peer_contacts[0].contacts[0]: "bob" has no "@"; write an address, as in user@example.org`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := loadText(tt.text)
			var got []string
			for _, p := range c.ordered() {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostileYAMLIsRefusedInNoTime(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 60; i++ {
		was, is := strconv.Itoa(i-1), strconv.Itoa(i)
		bomb += "a" + is + ": &a" + is + " [" + strings.Repeat("*a"+was+", ", 9) + "x]\n"
	}
	for name, text := range map[string]string{
		"aliases":      bomb + "lan: *a59\n",
		"brackets":     strings.Repeat("[]", maxConfigBytes/2-10),
		"braces":       strings.Repeat("{a: [", 200000),
		"keys":         strings.Repeat("? ", maxConfigBytes/2-10),
		"indents":      staircase(2000),
		"many keys":    manyKeys(20000),
		"same key":     strings.Repeat("lan:\n", 50000),
		"long word":    strings.Repeat("x", maxConfigBytes-10),
		"long key":     strings.Repeat("x", maxConfigBytes-10) + ":",
		"open quote":   `a: "` + strings.Repeat("\n", maxConfigBytes-10),
		"many dashes":  strings.Repeat("-\n", maxConfigBytes/2-10),
		"many comment": strings.Repeat("#\n", maxConfigBytes/2-10),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c := loadText(text)
			if c.errors() == 0 {
				t.Error("no error")
			}
			var out bytes.Buffer
			c.write(&out)
			if out.Len() > 64<<10 {
				t.Errorf("%d bytes of problems", out.Len())
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			} else {
				t.Log(d)
			}
		})
	}
}

func staircase(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strconv.Itoa(i) + ": 1\n")
	}
	return b.String()
}

func TestPasswordComesFromWhereTheFileSays(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pw", "from file\r\n")
	write("empty", "\n")
	write("two", "a\nb\n")
	write("huge", strings.Repeat("x", maxSecretBytes+1))
	getenv := func(k string) string {
		return map[string]string{"PW": "from env", "CREDENTIALS_DIRECTORY": dir}[k]
	}
	for _, tt := range []struct{ line, want, err string }{
		{"password: '12#34'", "12#34", ""},
		{"password: 007", "007", ""},
		{"password_file: pw", "from file", ""},
		{"password_file: " + dir + "/pw", "from file", ""},
		{"password_env: PW", "from env", ""},
		{"password_credential: pw", "from file", ""},
		{"password_file: empty", "", "the password is empty"},
		{"password_file: two", "", "the password must be one line of text (UTF-8)"},
		{"password_file: huge", "", dir + "/huge is larger than 4 KiB"},
	} {
		write("meshgate.yaml", "account: {jid: a@b, "+tt.line+"}")
		c := load(filepath.Join(dir, "meshgate.yaml"), host{getenv: getenv, name: machineH1})
		got, err := c.secret()
		if got != tt.want || (err != nil || tt.err != "") && (err == nil || err.Error() != tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.line, got, err, tt.want, tt.err)
		}
		if (c.errors() > 0) != (tt.err != "") {
			t.Errorf("%s: check finds %d errors", tt.line, c.errors())
		}
	}
}

func TestReadablePasswordIsWarnedAbout(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "meshgate.yaml")
	for name, mode := range map[string]os.FileMode{"pw-open": 0o644, "pw-closed": 0o640} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		line string
		mode os.FileMode
		want int
	}{
		{"password_file: pw-open", 0o644, 1},
		{"password_file: pw-closed", 0o644, 0},
		{"password: x", 0o644, 1},
		{"password: x", 0o600, 0},
	} {
		text := strings.Replace(good, "password_env: PW", tt.line, 1)
		if err := os.WriteFile(file, []byte(text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		c := load(file, host{getenv: noEnv, name: machineH1})
		if len(c.list) != tt.want || c.errors() > 0 {
			t.Errorf("%s, mode %o: problems %v, want %d warnings", tt.line, tt.mode, c.list, tt.want)
		}
		if tt.want == 1 && !strings.Contains(c.list[0].text, "every user of this machine can read") {
			t.Errorf("warning %q", c.list[0].text)
		}
	}
}

func TestOnlySoManyProblemsArePrinted(t *testing.T) {
	c := loadText(good + "lan:\n" + strings.Repeat("  no: such\n", 100))
	var out bytes.Buffer
	c.write(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "standard input: and 75 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestMachineNameIsASCII(t *testing.T) {
	for in, want := range map[string]string{
		"h1": "h1", "büro": "b-ro", "my_host": "my-host", "日本": "gateway", "": "gateway",
		"-x-": "x", strings.Repeat("a", 80): strings.Repeat("a", 31),
	} {
		if got := asMachine(in); got != want {
			t.Errorf("asMachine(%q) = %q, want %q", in, got, want)
		}
	}
}
