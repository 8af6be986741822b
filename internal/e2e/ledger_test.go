package e2e

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// SM-11, IJ-05: what became of a message can be told: one that was delivered,
// one that was refused and one that came back; and nothing is without an end.
func TestTheWayOfAMessageIsTold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd, Gateway: GatewayOptions{Verbose: true}, Config: map[string]any{
			"peers": []any{"bob@*"},
			"contacts": []any{
				map[string]any{"jid": "alice@" + Domain, "name": "alice"},
				map[string]any{"jid": "nobody@" + Domain, "name": "nobody", "offline": "show"},
			},
		}})
		alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
		bob := o.Host("h2").Purple("bob", PurpleOptions{})
		carol := o.Host("h2").Purple("carol", PurpleOptions{})
		bob.AwaitOn(o.Mirror("alice"))
		bob.AwaitOn(o.Mirror("nobody"))
		carol.AwaitOn(o.Mirror("alice"))

		bob.Msg(o.Mirror("alice"), "psst, hello")
		id := alice.AwaitMessage(o.GatewayJID(), "psst, hello").ID
		o.Gateway.AwaitLog("message", "outcome", "delivered", "way", "from LAN")
		alice.SendMessage(Message{To: o.GatewayJID(), Body: "psst, welcome", ID: "welcome1"})
		bob.AwaitIM(o.Mirror("alice"), "psst, welcome")
		carol.Msg(o.Mirror("alice"), "psst, a stranger")
		carol.Expect(`^IM\t.*may not write through this gateway`)
		bob.Msg(o.Mirror("nobody"), "psst, anybody?")
		bob.Expect(`^IM\tnobody@gw\t.*not delivered: .psst, anybody\?.`)
		o.Gateway.AwaitLog("message", "outcome", "bounced")

		program := BuildGateway(t, false)
		run := func(args ...string) string {
			return o.Host("h1").Output(program, append(args, "-config", o.Gateway.ConfigFile)...)
		}
		trace := func(of string, more ...string) string {
			return o.Host("h1").Output(program, append(append([]string{"trace", "-config", o.Gateway.ConfigFile}, more...), of)...)
		}
		for of, re := range map[string]string{
			id:                 `(?s)^from bob@h2 to alice@example\.org, id \S+\n.*came from the LAN\n.*delivered: the server has acknowledged it\n$`,
			"welcome1":         `(?s)^from alice@example\.org to bob@h2, id welcome1\n.*came from the network\n.*delivered: written to the peer's stream\n$`,
			"carol@h2":         `(?s)^from carol@h2 to alice@example\.org\n.*refused: peers does not name this peer\n$`,
			"nobody@" + Domain: `(?s)^from bob@h2 to nobody@example\.org.*came back, its sender was told \(.+\)\n$`,
		} {
			if got := trace(of); !regexp.MustCompile(re).MatchString(got) || strings.Contains(got, "psst") {
				t.Errorf("trace %s: %s", of, got)
			}
		}
		var list []struct{ End string }
		if err := json.Unmarshal([]byte(trace("bob@h2", "-json")), &list); err != nil || len(list) != 3 {
			t.Errorf("trace -json: %v, %+v", err, list)
		}
		if got := run("queue", "list"); !strings.Contains(got, "nothing waits for the server") {
			t.Errorf("queue list: %s", got)
		}
		o.Gateway.Kill()
		o.Gateway.Start()
		if got := trace(id); !strings.Contains(got, "delivered: the server has acknowledged it") {
			t.Errorf("after a restart: %s", got)
		}
	})
}

// SM-11: what waits for the server is listed and can be taken out: its sender
// is told, and the rest arrives.
func TestWhatWaitsCanBeTakenOut(t *testing.T) {
	t.Parallel()
	o := OpenOffice(t, OfficeOptions{Gateway: GatewayOptions{Verbose: true}})
	alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{Reconnect: true})
	bob := o.Host("h2").Purple("bob", PurpleOptions{})
	bob.AwaitOn(o.Mirror("alice"))
	bob.Msg(o.Mirror("alice"), "before")
	alice.AwaitMessage(o.GatewayJID(), "before")
	o.Gateway.AwaitLog("message", "outcome", "delivered", "way", "from LAN")

	o.Server.Stop()
	o.Gateway.AwaitLog("offline")
	bob.Msg(o.Mirror("alice"), "one")
	bob.Msg(o.Mirror("alice"), "two")
	o.Gateway.AwaitLog("message", "outcome", "pending")
	o.Gateway.AwaitLog("message", "outcome", "pending")
	program := BuildGateway(t, false)
	queue := func(what string, args ...string) string {
		return o.Host("h1").Output(program, append([]string{"queue", what, "-config", o.Gateway.ConfigFile}, args...)...)
	}
	var q struct {
		Total int
		List  []struct {
			Seq  uint64
			Kind string
		}
	}
	if err := json.Unmarshal([]byte(queue("list", "-json")), &q); err != nil {
		t.Fatal(err)
	}
	dropped := ""
	for _, x := range q.List {
		if seq := strconv.FormatUint(x.Seq, 10); x.Kind == "message" && strings.Contains(queue("show", seq), "[bob@h2] one<") {
			dropped = queue("drop", seq)
		}
	}
	if !strings.HasSuffix(dropped, " to alice@example.org is dropped: it will not be sent. bob@h2 is told.\n") {
		t.Errorf("drop says %q; the queue is %+v", dropped, q)
	}
	bob.Expect(`^IM\t.*not delivered: .one. \(the person who runs the gateway has taken it out of the queue\)`)
	wantLine(t, queue("list"), `^\d+ +waiting +message +alice@example\.org `)
	o.Server.Start()
	alice.AwaitSession()
	queue("retry")
	alice.AwaitMessage(o.GatewayJID(), "two")
	if n := countBodies(alice, "one"); n != 0 {
		t.Errorf("what was taken out came %d times", n)
	}
}
