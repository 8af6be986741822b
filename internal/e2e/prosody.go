package e2e

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// proxyPort is where the SOCKS5 proxy of a Prosody server listens.
const proxyPort = 5000

//go:embed prosody.cfg.lua
var prosodyConf string

// prosodyResumeFix hands the new connection's parser to a resumed session:
// Prosody 0.12 keeps the old connection's, which may be inside half a stanza.
const prosodyResumeFix = `module:hook("smacks-hibernation-end", function(e) e.resumed.data = e.origin.data; end);
`

// prosodyClock tells another time than it is.
const prosodyClock = `module:add_feature("urn:xmpp:time");
module:hook("iq-get/host/urn:xmpp:time:time", function(e)
	local utc = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + (@AHEAD@));
	e.origin.send(require "util.stanza".reply(e.stanza):tag("time", { xmlns = "urn:xmpp:time" })
		:tag("tzo"):text("+00:00"):up():tag("utc"):text(utc));
	return true;
end);
`

// prosodyForget has a room forget an occupant, and nobody is told.
const prosodyForget = `local rooms = module:depends("muc");
module:hook("iq-get/bare/urn:x-lab:forget", function(e)
	local room = rooms.get_room_from_jid(e.stanza.attr.to);
	local nick = e.stanza.attr.to .. "/" .. e.stanza.tags[1].attr.nick;
	for jid in room._occupants[nick]:each_session() do room._jid_nick[jid] = nil; end
	room._occupants[nick] = nil;
	e.origin.send(require "util.stanza".reply(e.stanza));
	return true;
end);
`

// prosodyReady says when every host and component is loaded.
const prosodyReady = `module:set_global();
module:hook("server-started", function() module:log("info", "everything is started"); end);
`

// Prosody starts a Prosody server in the host and waits until it serves.
func (h *Host) Prosody(opt ServerOptions) *Server {
	h.tb.Helper()
	s := h.newServer("prosody", opt)
	h.WriteFile("prosody/plugins/mod_lab_resume_fix.lua", prosodyResumeFix)
	h.WriteFile("prosody/plugins/mod_lab_ready.lua", prosodyReady)
	h.WriteFile("prosody/plugins/mod_lab_forget.lua", prosodyForget)
	h.WriteFile("prosody/plugins/mod_lab_clock.lua", replaceAll(prosodyClock, "@AHEAD@", fmt.Sprint(int(opt.Clock.Seconds()))))
	conf := h.WriteFile("prosody/prosody.cfg.lua", s.prosodyConfig())
	s.writeProsodyAccounts()
	s.spec = Spec{Name: "prosody@" + h.Name, Args: []string{"prosody", "-F", "--config", conf}}
	s.ready = []string{`everything is started`}
	return s.run()
}

func (s *Server) prosodyConfig() string {
	modules := []string{
		"lab_ready", "posix", "roster", "saslauth", "tls", "disco", "ping", "presence", "message", "iq",
		"mam", "carbons", "offline", "pep", "vcard_legacy", "blocklist", "version", "time", "uptime",
	}
	var extra strings.Builder
	if !s.opt.NoSM {
		modules = append(modules, "smacks")
	}
	if s.opt.Clock != 0 {
		modules = slices.DeleteFunc(modules, func(m string) bool { return m == "time" })
		modules = append(modules, "lab_clock")
	}
	if s.opt.NoArchive {
		modules = slices.DeleteFunc(modules, func(m string) bool { return m == "mam" })
	}
	if s.opt.ResumeFix {
		modules = append(modules, "lab_resume_fix")
	}
	if s.opt.Rate != "" {
		modules = append(modules, "limits")
		fmt.Fprintf(&extra, "limits = { c2s = { rate = %q } }\n", s.opt.Rate)
	}
	if s.opt.Hibernation > 0 {
		fmt.Fprintf(&extra, "smacks_hibernation_time = %d\n", s.opt.Hibernation)
	}
	if s.opt.MaxQueue > 0 {
		fmt.Fprintf(&extra, "smacks_max_queue_size = %d\n", s.opt.MaxQueue)
	}
	if s.opt.NoDelay {
		extra.WriteString("network_settings = { nagle = false }\n")
	}
	extra.WriteString(s.opt.Extra)
	level := "info"
	if s.opt.Debug {
		level = "debug"
	}
	return replaceAll(prosodyConf,
		"@DIR@", s.host.Path(s.dir), "@DOMAIN@", Domain, "@ROOMS@", RoomService, "@PROXY@", ProxyService,
		"@PLAIN@", fmt.Sprint(s.plain), "@TLS@", fmt.Sprint(s.tls), "@LEVEL@", level,
		"@ADDRS@", quoteList(s.listenAddrs()), "@MODULES@", quoteList(modules), "@EXTRA@", extra.String(),
		"@LAN@", s.host.addr.String(), "@PROXYPORT@", fmt.Sprint(proxyPort))
}

// quoteList writes strings as the inside of a Lua or Erlang list.
func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(quoted, ", ")
}

// writeProsodyAccounts writes accounts and rosters as Prosody's storage
// "internal" keeps them: faster than any command, and before the start.
func (s *Server) writeProsodyAccounts() {
	data := "prosody/data/" + strings.ReplaceAll(Domain, ".", "%2e") + "/"
	for _, user := range s.opt.users() {
		s.host.WriteFile(data+"accounts/"+user+".dat", fmt.Sprintf("return { [\"password\"] = %q; };\n", s.opt.Users[user]))
		friends := s.opt.friendsOf(user)
		if len(friends) == 0 {
			continue
		}
		var roster strings.Builder
		roster.WriteString("return {\n  [false] = { version = 1; pending = {}; };\n")
		for _, friend := range friends {
			fmt.Fprintf(&roster, "  [%q] = { subscription = \"both\"; groups = {}; };\n", s.JID(friend))
		}
		roster.WriteString("};\n")
		s.host.WriteFile(data+"roster/"+user+".dat", roster.String())
	}
}
