package doctor

import (
	"fmt"
	"time"
)

const (
	maxClockSkew = 5 * time.Minute
	buildSlack   = 24 * time.Hour      // the clock that dated our file may have been wrong, too
	certDays     = 14 * 24 * time.Hour // a certificate that ends sooner is worth a word
	leastResume  = time.Minute
	dateLayout   = "2006-01-02 15:04:05 MST"
	serverCheck  = "server"
	streamCheck  = "stream-management"
	defaultMend  = "see the server's log"
	dayLayout    = "2 January 2006"
	clockMend    = "set the clock: timedatectl set-ntp true; or set the server's, if that one is wrong"
)

// serverMends say what to do about a problem, by its word.
var serverMends = map[string]string{
	"wrong login":           "see account.jid and the password; the account must exist on the server",
	"account disabled":      "enable the account on the server, or give it a new password",
	"no encryption":         "let the server offer STARTTLS: it needs a certificate",
	"no mechanism":          "let the server offer SCRAM, or set account.allow_plain",
	"untrusted certificate": "give the server a certificate for its domain, or set account.ca_file or account.pins; and see that the clock is right",
	"unknown host":          "see the domain of account.jid and the DNS of this machine, or set account.server",
	"unreachable":           "see that the server runs and that no firewall is between (TCP ports 5222 and 5223), or set account.server",
	"domain not served":     "see account.jid and account.server: that server is not for this domain",
}

func judgeServer(f Facts) []Finding {
	s := f.Server
	var out []Finding
	switch g := f.Gateway; {
	case g.Running && !g.Online && s.Err == "":
		out = append(out, fault(serverCheck, "the gateway runs, but is not connected: "+g.Server, "wait for its next attempt, or see its log: journalctl -u meshgate"))
	case g.Running:
		out = append(out, fine("gateway", "the gateway runs; "+g.Server))
	case g.Closed:
		out = append(out, note("gateway", "this user may not ask whether the gateway runs, and how it is; root may"))
	}
	switch {
	case s.Err != "":
		mend := serverMends[s.Problem]
		if mend == "" {
			mend = defaultMend
		}
		return append(out, fault(serverCheck, "the XMPP server cannot be used: "+s.Err, mend))
	case s.Skipped != "":
		return append(out, note(serverCheck, "the XMPP server was not asked: "+s.Skipped))
	case !s.Asked:
		return out
	}
	out = append(out, fine(serverCheck, fmt.Sprintf("the XMPP server at %s lets us in", s.Addr)))
	out = append(out, judgeTLS(f)...)
	out = append(out, judgeStreams(s))
	return append(out, judgeOffers(s)...)
}

func judgeTLS(f Facts) []Finding {
	switch s := f.Server; {
	case !s.TLS:
		return []Finding{warning("tls", "the connection to the XMPP server is not encrypted", "set account.tls: starttls")}
	case s.CertExpires.Sub(f.Now) < certDays:
		return []Finding{warning("tls", "the server's certificate ends on "+s.CertExpires.UTC().Format(dayLayout), "renew it at the server")}
	}
	return nil
}

// judgeStreams is about XEP-0198, without which messages get lost.
func judgeStreams(s Server) Finding {
	switch {
	case !s.SM:
		return fault(streamCheck, "the server offers no stream management (XEP-0198): messages are lost whenever the connection breaks",
			`switch it on at the server: Prosody: "smacks" in modules_enabled; ejabberd: mod_stream_mgmt`)
	case !s.Resumable:
		return warning(streamCheck, "the server offers stream management without resumption: after each cut contacts go offline and come back",
			"allow resumption at the server: Prosody: smacks_hibernation_time; ejabberd: resume_timeout of mod_stream_mgmt")
	case s.ResumeMax > 0 && s.ResumeMax < leastResume:
		return warning(streamCheck, fmt.Sprintf("the server keeps a cut session for %v only", s.ResumeMax),
			"let it keep sessions for five minutes at least: Prosody: smacks_hibernation_time; ejabberd: resume_timeout")
	}
	return fine(streamCheck, "the server has stream management with resumption (XEP-0198)")
}

// judgeOffers says what is lost where the server does not offer it.
func judgeOffers(s Server) []Finding {
	var out []Finding
	for _, o := range []struct {
		has  bool
		text string
	}{
		{s.PEP || s.VCard, "neither PEP (XEP-0163) nor vCards (XEP-0054): people's pictures are not passed on"},
		{s.PEP || !s.VCard, "no PEP (XEP-0163): clients that know only XEP-0084 show no pictures"},
		{s.Rooms != "", "no service for rooms (XEP-0045): rooms cannot be bridged"},
		{s.Blocking, "no blocking (XEP-0191): strangers can be refused, not blocked"},
		{s.Carbons, "no carbons (XEP-0280): other clients of the gateway's account do not see what it writes"},
		{s.Archive, "no archive (XEP-0313): what is said while the gateway is away for long reaches nobody"},
		{s.Ping, "no ping (XEP-0199)"},
	} {
		if !o.has {
			out = append(out, note("offers", "the server offers "+o.text))
		}
	}
	if len(out) == 0 {
		out = append(out, fine("offers", "the server offers all else that the gateway can use"))
	}
	return out
}

func judgeClock(f Facts) []Finding {
	const check = "clock"
	switch s := f.Server; {
	case f.Now.Before(f.Built.Add(-buildSlack)):
		return []Finding{fault(check, fmt.Sprintf("this machine's clock says %s, which is before this program was installed", f.Now.UTC().Format(dateLayout)), clockMend)}
	case !s.HasTime:
		return nil
	case s.Ahead.Abs() > maxClockSkew:
		way := "behind"
		if s.Ahead < 0 {
			way = "ahead of"
		}
		return []Finding{fault(check, fmt.Sprintf("this machine's clock is %v %s the XMPP server's", s.Ahead.Abs().Round(time.Minute), way), clockMend)}
	}
	return []Finding{fine(check, "this machine's clock agrees with the XMPP server's")}
}
