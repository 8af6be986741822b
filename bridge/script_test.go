package bridge

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"meshgate/internal/stanza"
	"meshgate/linklocal"
	"meshgate/xmppc2s"
)

var update = flag.Bool("update", false, "write what the engine does into testdata")

// TestScripts plays testdata/*.txt: commands in the first column, what the
// engine does upon them indented below.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, office())
	r.taken()
	var got strings.Builder
	for _, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		fmt.Fprintln(&got, line)
		if line == "" || line[0] == '#' {
			continue
		}
		r.command(line)
		for _, l := range r.taken() {
			fmt.Fprintf(&got, "\t%s\n", l)
		}
		r.wantBalanced()
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(text), got.String()); d != "" {
		t.Error(d)
	}
}

// command carries out one line of a script.
//
//	wait 5s                        let time pass
//	online | resumed | offline     the server session
//	here bob@h2 [status [msg]]     a peer appears or changes; spaces in names are written as _
//	left bob@h2
//	stream bob@h2 alice plain      a stream is open, "plain" or "tls"
//	icon bob@h2 B                  a peer's picture; - for none
//	avatar alice A                 a contact's
//	show alice/phone away 5 [msg]  a contact's presence: show or "avail", priority
//	hide alice/phone
//	lan bob@h2 alice words         a peer writes to a contact or to "gate"
//	lanxml bob@h2 alice <xml>
//	net alice/phone id words       a contact writes; re=m1, thread=t1, late=10m, receipt may stand before the words
//	netxml <xml>
//	room Witchcraft w@conf 239.255.71.66:13251 [members]   there is one more; - for no group
//	member Witchcraft bob@h2       and who is in it
//	occupant Witchcraft alice
//	invited alice/phone id w@conf words            directly
//	mediated alice/phone id w@conf words           through the room
//	ok | fail words                what became of the oldest delivery
//	bounce m1 words                the server session gives up a message
//	ack m1                         the server acknowledges a message
//	restart                        the gateway is killed, and starts again a second later
//	probing on | off               whether published names are told at once
//	published alice alice@gw
func (r *rig) command(line string) {
	word, rest, _ := strings.Cut(line, " ")
	f := strings.Fields(rest)
	switch word {
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			r.t.Fatal(err)
		}
		r.wait(d)
	case "online", "resumed":
		r.online(word == "resumed")
	case "offline":
		r.srv(xmppc2s.Offline{Err: errors.New("connection refused")})
	case "here":
		f = append(f, "", "")
		r.peer(instance(f[0]), linklocal.Presence{Status: linklocal.Status(f[1]), Msg: f[2]})
	case "left":
		r.lan(linklocal.PeerVanished{Instance: instance(rest)})
	case "stream":
		r.lan(linklocal.StreamOpened{Contact: contactID(f[1]), Peer: instance(f[0]), TLS: f[2] == "tls"})
	case "icon":
		r.lan(linklocal.PeerIcon{Instance: instance(f[0]), Icon: picture(f[1])})
	case "avatar":
		ev := xmppc2s.ContactAvatar{JID: jid.MustParse(f[0] + "@example.org")}
		if i := picture(f[1]); i != nil {
			ev.Avatar = &xmppc2s.Avatar{Data: i.Data, Type: i.Type}
		}
		r.srv(ev)
	case "show", "hide":
		r.commandPresence(word == "show", append(f, "", "0", ""))
	case "lan":
		from, rest, _ := strings.Cut(rest, " ")
		to, words, _ := strings.Cut(rest, " ")
		r.fromLAN(contactID(to), instance(from), "<message><body>"+stanza.Escape(unescape(words))+"</body></message>")
	case "lanxml":
		from, rest, _ := strings.Cut(rest, " ")
		to, xml, _ := strings.Cut(rest, " ")
		r.fromLAN(contactID(to), instance(from), xml)
	case "net":
		r.commandNet(rest)
	case "netxml":
		r.fromNet(rest)
	case "room":
		r.addRoom(f)
	case "member", "occupant":
		name, who, _ := strings.Cut(rest, " ")
		r.rooms.join(name, who, word == "member")
		r.e.rooms = r.rooms
	case "invited", "mediated":
		r.commandInvited(word == "invited", rest)
	case "ok":
		r.result(nil)
	case "fail":
		r.result(errors.New(rest))
	case "bounce":
		id, words, _ := strings.Cut(rest, " ")
		r.srv(xmppc2s.Undelivered{Stanza: stanza.New(stanza.NSClient, "message", stanza.Attr{Name: "id", Value: r.unalias(id)}), Err: errors.New(words)})
	case "ack":
		r.srv(xmppc2s.Acknowledged{Messages: []xmppc2s.Sent{{ID: r.unalias(rest)}}})
	case "restart":
		*r = *r.restarted(office(), time.Second)
	case "probing":
		r.probing = rest == "on"
	case "published":
		r.published(contactID(f[0]), instance(f[1]))
	default:
		r.t.Fatalf("what is %q?", line)
	}
}

func (r *rig) commandPresence(available bool, f []string) {
	user, res, _ := strings.Cut(f[0], "/")
	j, err := jid.MustParse(user + "@example.org").WithResource(res)
	if err != nil {
		r.t.Fatal(err)
	}
	var priority int8
	fmt.Sscan(f[2], &priority)
	r.presence(j.String(), strings.TrimPrefix(f[1], "avail"), f[3], priority, available)
}

func (r *rig) commandNet(rest string) {
	from, rest, _ := strings.Cut(rest, " ")
	id, rest, _ := strings.Cut(rest, " ")
	user, res, _ := strings.Cut(from, "/")
	extra := ""
	for {
		word, behind, _ := strings.Cut(rest, " ")
		key, value, isKey := strings.Cut(word, "=")
		switch {
		case word == "receipt":
			extra += "<request xmlns='urn:xmpp:receipts'/>"
		case isKey && key == "re":
			extra += fmt.Sprintf("<reply xmlns='urn:xmpp:reply:0' id='%s'/>", r.unalias(value))
		case isKey && key == "thread":
			extra += "<thread>" + r.unalias(value) + "</thread>"
		case isKey && key == "late":
			d, _ := time.ParseDuration(value)
			extra += fmt.Sprintf("<delay xmlns='urn:xmpp:delay' stamp='%s'/>", r.now.Add(-d).Format(time.RFC3339))
		default:
			r.fromNet(fmt.Sprintf("<message from='%s@example.org/%s' to='gate@example.org/mesh' id='%s' type='chat'><body>%s</body>%s</message>",
				user, res, id, stanza.Escape(unescape(rest)), extra))
			return
		}
		rest = behind
	}
}

func instance(s string) linklocal.Instance {
	return linklocal.Instance(strings.ReplaceAll(s, "_", " "))
}

func picture(s string) *linklocal.Icon {
	if s == "-" {
		return nil
	}
	return &linklocal.Icon{Data: []byte(s), Type: "image/png"}
}

func contactID(s string) linklocal.ContactID {
	if s == "gate" {
		return ConciergeID
	}
	return linklocal.ContactID(s + "@example.org")
}

func unescape(s string) string { return strings.ReplaceAll(s, `\n`, "\n") }
