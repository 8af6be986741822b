package e2e

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"strings"
)

//go:embed ejabberd.yml
var ejabberdConf string

// Ejabberd starts an ejabberd server in the host and waits until it serves.
//
// It runs the Erlang machine itself, without a node name: no epmd, no cookie
// and no control program, and as many servers side by side as there are hosts.
// The accounts are made by the same machine once ejabberd is up. Its threads
// sleep when there is nothing to do (+sbwt): as they come they look for work
// for a while first, which takes the processors from the rest of the lab.
func (h *Host) Ejabberd(opt ServerOptions) *Server {
	h.tb.Helper()
	s := h.newServer("ejabberd", opt)
	conf := h.WriteFile("ejabberd/ejabberd.yml", s.ejabberdConfig())
	h.WriteFile("ejabberd/inetrc", "{lookup, [file, native]}.\n")
	s.spec = Spec{
		Name: "ejabberd@" + h.Name,
		Args: []string{
			"erl", "-noinput", "+K", "true", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-mnesia", "dir", fmt.Sprintf("%q", h.Path("ejabberd/spool")),
			"-s", "ejabberd", "-eval", s.ejabberdAccounts() + ", " + s.ejabberdOrders() + ".",
		},
		Env: []string{
			"EJABBERD_CONFIG_PATH=" + conf, "EJABBERD_LOG_PATH=" + h.Path("ejabberd/ejabberd.log"),
			"ERL_INETRC=" + h.Path("ejabberd/inetrc"), "ERL_CRASH_DUMP_BYTES=0", "ERL_LIBS=" + erlangLibraries,
		},
	}
	s.ready = []string{`^accounts are made$`} // and, independently of that:
	for _, addr := range s.listenAddrs() {
		for _, port := range []uint16{s.plain, s.tls} {
			s.ready = append(s.ready, regexp.QuoteMeta(fmt.Sprintf("connections at %s:%d for ejabberd_c2s", addr, port)))
		}
	}
	return s.run()
}

// erlangLibraries is where Debian's ejabberd and its dependencies are, beside
// Erlang's own.
const erlangLibraries = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu"

func (s *Server) ejabberdConfig() string {
	var listen strings.Builder
	shaper := "none"
	if s.opt.Rate != "" {
		shaper = "lab_rule"
	}
	for _, addr := range s.listenAddrs() {
		for port, tls := range map[uint16]string{s.plain: "starttls_required", s.tls: "tls"} {
			fmt.Fprintf(&listen, "  - {port: %d, ip: \"%s\", module: ejabberd_c2s, max_stanza_size: 1000000, access: c2s, shaper: %s, %s: true}\n",
				port, addr, shaper, tls)
		}
	}
	level := "info"
	if s.opt.Debug {
		level = "debug"
	}
	return replaceAll(ejabberdConf,
		"@DIR@", s.host.Path(s.dir), "@DOMAIN@", Domain, "@ROOMS@", RoomService, "@LEVEL@", level,
		"@LISTEN@", strings.TrimRight(listen.String(), "\n"), "@SM@", s.ejabberdSM(), "@SHAPER@", s.ejabberdShaper(),
		"@ARCHIVE@", s.ejabberdArchive(), "@LINEGAP@", fmt.Sprint(s.opt.LineGap.Seconds()), "@EXTRA@", s.opt.Extra)
}

// ejabberdShaper is a shaper and the rule that names it: listeners refer to
// rules.
func (s *Server) ejabberdShaper() string {
	if s.opt.Rate == "" {
		return "shaper: {}"
	}
	digits := strings.TrimRight(s.opt.Rate, "kmbit/s")
	zeros := map[bool]string{true: "000"}[strings.Contains(s.opt.Rate, "k")] + map[bool]string{true: "000000"}[strings.Contains(s.opt.Rate, "mb")]
	burst := ""
	if s.opt.Burst > 0 {
		burst = fmt.Sprintf(", burst_size: %d", s.opt.Burst)
	}
	return fmt.Sprintf("shaper: {lab: {rate: %s%s%s}}\nshaper_rules: {lab_rule: lab}", digits, zeros, burst)
}

func (s *Server) ejabberdSM() string {
	if s.opt.NoSM {
		return ""
	}
	var settings []string
	if s.opt.Hibernation > 0 {
		settings = append(settings, fmt.Sprintf("resume_timeout: %d", s.opt.Hibernation))
	}
	if s.opt.MaxQueue > 0 {
		settings = append(settings, fmt.Sprintf("max_ack_queue: %d", s.opt.MaxQueue))
	}
	settings = append(settings, "resend_on_timeout: if_offline")
	return "  mod_stream_mgmt: {" + strings.Join(settings, ", ") + "}"
}

func (s *Server) ejabberdArchive() string {
	if s.opt.NoArchive {
		return ""
	}
	return "  mod_mam: {default: always}"
}

// ejabberdAccounts is an Erlang expression that makes the accounts and
// rosters, says so, or stops the machine. It may run again after a restart.
func (s *Server) ejabberdAccounts() string {
	var b strings.Builder
	for _, user := range s.opt.users() {
		fmt.Fprintf(&b, "case ejabberd_auth:try_register(<<%s>>, <<%s>>, <<%s>>) of ok -> ok; {error, exists} -> ok end, ",
			erlangString(user), erlangString(Domain), erlangString(s.opt.Users[user]))
	}
	for _, user := range s.opt.users() {
		for _, friend := range s.opt.friendsOf(user) {
			fmt.Fprintf(&b, "ok = mod_admin_extra:add_rosteritem(<<%s>>, <<%s>>, <<%s>>, <<%[2]s>>, <<>>, <<>>, <<\"both\">>), ",
				erlangString(user), erlangString(Domain), erlangString(friend))
		}
	}
	return b.String() + `io:format("accounts are made~n")`
}

// ejabberdOrders is an Erlang expression that begins to carry out what Order writes.
func (s *Server) ejabberdOrders() string {
	file := erlangString(s.host.Path(orderFile))
	return `spawn(fun() -> (fun Loop() -> case file:eval(` + file + `) of {error, enoent} -> ok; ` +
		`Result -> file:delete(` + file + `), io:format("order: ~p~n", [Result]) end, timer:sleep(50), Loop() end)() end)`
}

const orderFile = "ejabberd/order"

// Order has an ejabberd evaluate Erlang expressions, with a full stop at their end.
func (s *Server) Order(erlang string) {
	s.host.tb.Helper()
	whole := s.host.WriteFile(orderFile+".new", erlang)
	if err := os.Rename(whole, s.host.Path(orderFile)); err != nil {
		s.host.tb.Fatalf("e2e: %v", err)
	}
	s.Expect(`^order: ok$`)
}

func erlangString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
