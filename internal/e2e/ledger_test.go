package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
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

// SM-11, IJ-08: the gateway is killed among messages in both directions. What
// the ledger says was delivered has arrived, what has arrived is in the ledger,
// and nothing is without an end.
func TestTheLedgerIsTrueAfterKills(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ejabberd bool) {
		o := OpenOffice(t, OfficeOptions{Ejabberd: ejabberd, Config: map[string]any{
			"limits.contact_messages_per_minute": 100000, "limits.contact_burst": 10000,
			"limits.peer_messages_per_minute": 100000, "limits.peer_burst": 10000,
		}})
		alice := o.Host("h1").Remote(o.Server, "alice", RemoteOptions{})
		bob := o.Host("h2").Purple("bob", PurpleOptions{})
		bob.AwaitOn(o.Mirror("alice"))
		bob.Msg(o.Mirror("alice"), "up before")
		to := alice.AwaitMessage(o.GatewayJID(), "up before").From
		const kills, each = 4, 20
		for k := range kills {
			for i := range each {
				bob.Msg(o.Mirror("alice"), fmt.Sprintf("up %d.%d.", k, i))
				alice.Msg(to, fmt.Sprintf("down %d.%d.", k, i))
			}
			alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("up %d.%d.", k, rand.IntN(each)))
			o.Gateway.Kill()
			o.Gateway.Start()
			alice.Msg(to, fmt.Sprintf("down %d.last.", k))
			bob.AwaitIM(o.Mirror("alice"), fmt.Sprintf("down %d.last.", k))
			bob.Msg(o.Mirror("alice"), fmt.Sprintf("up %d.last.", k))
			alice.AwaitMessage(o.GatewayJID(), fmt.Sprintf("up %d.last.", k))
		}
		arrived := map[string]int{"lan": countBodies(alice, "up ")}
		for _, im := range bob.IMs() {
			if strings.HasPrefix(im.Text(), "down ") {
				arrived["network"]++
			}
		}
		ended := o.awaitEnds(t)
		t.Logf("arrived %v, ended %v", arrived, ended)
		for from, n := range arrived {
			if d, unsure := ended[from]["delivered"], ended[from]["unsure"]; n < d || n > d+unsure {
				t.Errorf("from the %s: %d have arrived, the ledger has %v", from, n, ended[from])
			}
		}
	})
}

// awaitEnds counts how all messages have ended, when they have.
func (o *Office) awaitEnds(t *testing.T) map[string]map[string]int {
	t.Helper()
	program := BuildGateway(t, false)
	for limit := time.Now().Add(Patience); ; {
		var list []struct{ From, End string }
		out := o.Host("h1").Output(program, "trace", "-config", o.Gateway.ConfigFile, "-n", "1000", "-json")
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		ended := map[string]map[string]int{"lan": {}, "network": {}}
		for _, x := range list {
			ended[x.From][x.End]++
		}
		if ended["lan"]["pending"]+ended["network"]["pending"] == 0 {
			return ended
		}
		if time.Now().After(limit) {
			t.Fatalf("not all have an end: %v", ended)
		}
	}
}
