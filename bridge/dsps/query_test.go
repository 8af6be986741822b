package dsps

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
)

const (
	jRob    JID = "rob@nauseum.org/dspsclient"
	jFoo    JID = "foo@bar.com/resource"
	jA33    JID = "dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"
	jA44    JID = "dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a44"
	comment     = "<comment xmlns='" + NS + "'>some long comment block or structure</comment>"
)

func mustParse(t testing.TB, xml string) *stanza.Element {
	t.Helper()
	e, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
	if err != nil {
		t.Fatalf("%v in %s", err, xml)
	}
	return e
}

func words(t testing.TB, text string) []*stanza.Element {
	return []*stanza.Element{mustParse(t, "<comment xmlns='"+NS+"'>"+text+"</comment>")}
}

type parser func(*stanza.Element) (IQ, error)

// The examples of XEP-0037, with their line breaks, one by one.
func TestExamplesOfTheDocument(t *testing.T) {
	features := []Feature{{Type: "http", Version: "1.1"}, {Type: "ssl", Version: "3.0"}}
	for _, tt := range []struct {
		name string
		read parser
		xml  string
		want IQ
	}{
		{"DS-02 create", ParseRequest, `<iq id='dsps1' type='get' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a44'>
<query type='create' xmlns='jabber:iq:dsps' minthroughput='1.5KB' maxpublic='20'>
<peer port='5290'>
dsps.myjabber.net/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33
</peer>
<comment>public comment</comment>
</query>
</iq>`, IQ{Kind: "get", ID: "dsps1", From: jRob, To: jA44, Queries: []Query{Create{
			MinThroughput: 1536, MaxPublic: 20, Comments: words(t, "public comment"),
			Dests: []Dest{{JID: "dsps.myjabber.net/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33", Port: 5290}},
		}}}},
		{"DS-03 connection waiting", ParseReply, `<iq id='dsps1' type='result' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<query type='create' xmlns='jabber:iq:dsps' wait='10' host='dsps.jabber.org' port='5290' minthroughput='1.5KB' protocol='0.5'>
<feature type='http' version='1.1'/>
<feature type='ssl' version='3.0'/>
</query>
</iq>`, IQ{Kind: "result", ID: "dsps1", From: jA33, To: jRob, Queries: []Query{Prepared{
			Wait: 10 * time.Millisecond, Host: "dsps.jabber.org", Port: 5290, MinThroughput: 1536, Protocol: "0.5", Features: features,
		}}}},
		{"DS-14 key of the other service", ParseReply, `<iq id='dsps1' type='get' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<query type='create' xmlns='jabber:iq:dsps'>acDgH63I27Gb1</query>
</iq>`, IQ{Kind: "get", ID: "dsps1", From: jA33, To: jRob, Queries: []Query{RelayKey{"acDgH63I27Gb1"}}}},
		{"DS-14 its next key", ParseRequest, `<iq id='dsps1' type='result' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='create' xmlns='jabber:iq:dsps'>acDgH63I27Gb1</query>
</iq>`, IQ{Kind: "result", ID: "dsps1", From: jRob, To: jA33, Queries: []Query{RelayKey{"acDgH63I27Gb1"}}}},
		{"DS-04 key", ParseRequest, `<iq id='dsps1' type='get' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='auth' xmlns='jabber:iq:dsps'>uGhhb74d21</query>
</iq>`, IQ{Kind: "get", ID: "dsps1", From: jRob, To: jA33, Queries: []Query{Auth{"uGhhb74d21"}}}},
		{"DS-04 next key", ParseReply, `<iq id='dsps1' type='result' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<query type='auth' xmlns='jabber:iq:dsps'>qgqB42Ij784</query>
</iq>`, IQ{Kind: "result", ID: "dsps1", From: jA33, To: jRob, Queries: []Query{Auth{"qgqB42Ij784"}}}},
		{"DS-06 presence connect", ParseReply, presenceExample("dsps2", "connect"), presenceIQ("dsps2", Connect)},
		{"DS-06 presence drop", ParseReply, presenceExample("dsps6", "drop"), presenceIQ("dsps6", Drop)},
		{"DS-06 presence waiting", ParseReply, presenceExample("dsps7", "waiting"), presenceIQ("dsps7", Waiting)},
		{"DS-07 admin", ParseRequest, `<iq id='dsps3' type='set' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='admin' xmlns='jabber:iq:dsps' expire='20' wait='10'>
<comment>welcome to the stream</comment>
<peer type='master'>someone@somewhere.net</peer>
</query>
</iq>`, IQ{Kind: "set", ID: "dsps3", From: jRob, To: jA33, Queries: []Query{Admin{
			Expire: 20 * time.Millisecond, Wait: 10 * time.Millisecond, Comments: words(t, "welcome to the stream"),
			Peers: []AdminPeer{{"someone@somewhere.net", Master}},
		}}}},
		{"DS-08 admin response", ParseReply, `<iq id='dsps3' type='result' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='user@server.org/resource'>
<query type='admin' xmlns='jabber:iq:dsps'>
<peer acknowledge='expire'>abc@company.com/net</peer>
<peer acknowledge='reject'>friend@someplace.com/home</peer>
<peer acknowledge='timeout'>abd@company.com/net</peer>
<peer acknowledge='missing'>who@knows.org/winjab</peer>
</query>
</iq>`, IQ{Kind: "result", ID: "dsps3", From: jA33, To: "user@server.org/resource", Queries: []Query{Report{[]PeerPresence{
			{"abc@company.com/net", Expire}, {"friend@someplace.com/home", Reject},
			{"abd@company.com/net", Timeout}, {"who@knows.org/winjab", Missing},
		}}}}},
		{"DS-08 invitation", ParseReply, `<iq id='dsps4' type='get' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='foo@bar.com/resource'>
<query type='acknowledge' xmlns='jabber:iq:dsps' status='master' expire='20'>
<peer>rob@nauseum.org/dspsclient</peer>
<comment>some long comment block or structure</comment>
</query>
</iq>`, IQ{Kind: "get", ID: "dsps4", From: jA33, To: jFoo, Queries: []Query{Invitation{
			Right: Master, Expire: 20 * time.Millisecond, Peers: []JID{jRob}, Comments: words(t, "some long comment block or structure"),
		}}}},
		{"DS-07 dropped", ParseReply, `<iq id='dsps5' type='set' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='foo@bar.com/resource'>
<query type='acknowledge' xmlns='jabber:iq:dsps' status='drop'>
<comment>some long comment block or structure</comment>
</query>
</iq>`, IQ{Kind: "set", ID: "dsps5", From: jA33, To: jFoo, Queries: []Query{Dropped{words(t, "some long comment block or structure")}}}},
		{"DS-08 accept", ParseRequest, answerExample("connect"), answerIQ(true)},
		{"DS-08 reject", ParseRequest, answerExample("drop"), answerIQ(false)},
		{"DS-08 another word", ParseRequest, answerExample("perhaps"), answerIQ(false)},
		{"DS-12 who", ParseRequest, `<iq id='dsps8' type='get' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='who' xmlns='jabber:iq:dsps'/>
</iq>`, IQ{Kind: "get", ID: "dsps8", From: jRob, To: jA33, Queries: []Query{Who{}}}},
		{"DS-12 who result", ParseReply, `<iq id='dsps8' type='result' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<query type='who' xmlns='jabber:iq:dsps'>
<peer type='master' id='0' status='connect' throughput='1KB////4.875KB//3KB'>
rob@nauseum.org/dspsclient
</peer>
</query>
</iq>`, IQ{Kind: "result", ID: "dsps8", From: jA33, To: jRob, Queries: []Query{WhoList{[]PeerInfo{{
			JID: jRob, Right: Master, ID: "0", Status: Connect, Throughput: Throughput{1024, -1, -1, -1, 4992, -1, 3072},
		}}}}}},
		{"DS-12 stats", ParseRequest, `<iq id='dsps9' type='get' from='rob@nauseum.org/dspsclient' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='stats' xmlns='jabber:iq:dsps'/>
</iq>`, IQ{Kind: "get", ID: "dsps9", From: jRob, To: jA33, Queries: []Query{Stats{}}}},
		{"DS-12 stats result", ParseReply, `<iq id='dsps9' type='result' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<query type='stats' xmlns='jabber:iq:dsps' init='00000000000000' protocol='0.5' port='5290' minthroughput='1.5KB'
expiredefault='150' waitdefault='100' wait='10' public='5' maxpublic='25' mastercount='20' slavecount='40' relaycount='0'>
<feature type='http' version='1.1'/>
<feature type='ssl' version='3.0'/>
<peer>mydsps@jabber.org/8xd67f56df4f546fdgsfdg65f6g58f</peer>
<comment>some server comment</comment>
</query>
</iq>`, IQ{Kind: "result", ID: "dsps9", From: jA33, To: jRob, Queries: []Query{StreamStats{
			Init: time.Unix(0, 0).UTC(), Protocol: "0.5", Port: 5290, MinThroughput: 1536,
			ExpireDefault: 150 * time.Millisecond, WaitDefault: 100 * time.Millisecond, Wait: 10 * time.Millisecond,
			Public: 5, MaxPublic: 25, MasterCount: 20, SlaveCount: 40, Features: features,
			Peers: []JID{"mydsps@jabber.org/8xd67f56df4f546fdgsfdg65f6g58f"}, Comments: words(t, "some server comment"),
		}}}},
		{"error", ParseReply, `<iq id='dsps9' type='error' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='rob@nauseum.org/dspsclient'>
<error code='405'>Method Not Allowed</error>
</iq>`, IQ{Kind: "error", ID: "dsps9", From: jA33, To: jRob, Error: &Error{405, "Method Not Allowed"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.read(mustParse(t, tt.xml))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			again, err := tt.read(mustParse(t, got.Element().String()))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, again); diff != "" {
				t.Errorf("written and read again (-want +got):\n%s\n%s", diff, got.Element())
			}
		})
	}
}

func presenceExample(id, status string) string {
	return `<iq id='` + id + `' type='set' from='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33' to='foo@bar.com/resource'>
<query type='presence' xmlns='jabber:iq:dsps'>
<peer status='` + status + `'>JID</peer>
</query>
</iq>`
}

func presenceIQ(id string, status Status) IQ {
	return IQ{Kind: "set", ID: id, From: jA33, To: jFoo, Queries: []Query{Presence{[]PeerPresence{{"JID", status}}}}}
}

func answerExample(status string) string {
	return `<iq id='dsps4' type='result' from='foo@bar.com/moredsps' to='dsps.jabber.org/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'>
<query type='acknowledge' xmlns='jabber:iq:dsps' status='` + status + `'/>
</iq>`
}

func answerIQ(accept bool) IQ {
	return IQ{Kind: "result", ID: "dsps4", From: "foo@bar.com/moredsps", To: jA33, Queries: []Query{Answer{accept}}}
}

// What a query says, byte for byte.
func TestQueriesAsWritten(t *testing.T) {
	for _, tt := range []struct {
		q    Query
		want string
	}{
		{Prepared{Wait: 0, Port: 5290, Protocol: Protocol}, `<query xmlns='jabber:iq:dsps' type='create' wait='0' port='5290' minthroughput='0B' protocol='0.5'/>`},
		{Admin{Expire: Unset, Wait: 10 * time.Millisecond, Peers: []AdminPeer{{"a@b", ""}, {"c@d", Slave}}},
			`<query xmlns='jabber:iq:dsps' type='admin' wait='10'><peer type='drop'>a@b</peer><peer type='slave'>c@d</peer></query>`},
		{Create{}, `<query xmlns='jabber:iq:dsps' type='create'/>`},
		{Who{}, `<query xmlns='jabber:iq:dsps' type='who'/>`},
		{Answer{}, `<query xmlns='jabber:iq:dsps' type='acknowledge' status='drop'/>`},
	} {
		if got := tt.q.element().String(); got != tt.want {
			t.Errorf("%T\n got %s\nwant %s", tt.q, got, tt.want)
		}
	}
	const want = `<iq xmlns='jabber:client' id='1' type='error'><error code='409' type='cancel'>Conflict<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
	iq := IQ{Kind: "error", ID: "1", Error: &Error{Code: Conflict}}
	if got := strings.Replace(iq.Element().String(), "<iq ", "<iq xmlns='jabber:client' ", 1); got != want {
		t.Errorf("error\n got %s\nwant %s", got, want)
	}
}

func TestUnknownIsIgnoredWithoutError(t *testing.T) { // DS-01
	for _, xml := range []string{
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='dance'/></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:other' type='create'/></iq>`,
		`<iq type='set'><query xmlns='jabber:iq:dsps' type='create'/></iq>`,
		`<iq type='result'><query xmlns='jabber:iq:dsps' type='create'> </query></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='who' x='1'/></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='who'>body</query></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='stats'><peer/></query></iq>`,
		`<iq type='get'><query xmlns='jabber:iq:dsps' type='stats' id=''/></iq>`,
		`<iq type='result'/>`,
	} {
		if got, err := ParseRequest(mustParse(t, xml)); err != nil || len(got.Queries) > 0 {
			t.Errorf("%s: %v, %v", xml, got.Queries, err)
		}
	}
	got, err := ParseRequest(mustParse(t, `<iq type='set'><query xmlns='jabber:iq:dsps' type='admin' what='ever' wait='-3' expire='soon'>
		<peer type='relay'>a@b</peer><peer type='slave'> </peer><blink/><peer type='slave' x='y'>c@d</peer></query></iq>`))
	want := []Query{Admin{Expire: Unset, Wait: Unset, Peers: []AdminPeer{{"c@d", Slave}}}}
	if diff := cmp.Diff(want, got.Queries); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestStanzasAreBounded(t *testing.T) {
	block := func(inner string, n int) string {
		return `<iq type='set'><query xmlns='jabber:iq:dsps' type='admin'>` + strings.Repeat(inner, n) + `</query></iq>`
	}
	for _, tt := range []struct {
		xml string
		ok  bool
	}{
		{block(`<peer type='slave'>a@b</peer>`, maxListed), true},
		{block(`<peer type='slave'>a@b</peer>`, maxListed+1), false},
		{block(`<comment/>`, maxComments), true},
		{block(`<comment/>`, maxComments+1), false},
		{`<iq type='set'>` + strings.Repeat(`<query xmlns='jabber:iq:dsps' type='admin'/>`, maxQueries+1) + `</iq>`, false},
	} {
		if _, err := ParseRequest(mustParse(t, tt.xml)); (err == nil) != tt.ok {
			t.Errorf("%d bytes %.90s…: %v", len(tt.xml), tt.xml, err)
		}
	}
	long := JID(strings.Repeat("a", maxJID+1))
	got, _ := ParseRequest(mustParse(t, block(`<peer type='slave'>`+string(long)+`</peer>`, 1)))
	if n := len(got.Queries[0].(Admin).Peers); n != 0 {
		t.Errorf("an address of %d bytes was taken", len(long))
	}
}

func TestErrorsByCodeOrCondition(t *testing.T) {
	for _, tt := range []struct {
		xml  string
		code int
	}{
		{`<iq type='error'><error code='401'>no</error></iq>`, 401},
		{`<iq type='error'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, 409},
		{`<iq type='error'><error><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, 504},
		{`<iq type='error'/>`, 0},
		{`<iq type='error'><error code='-1'/></iq>`, 0},
	} {
		if got, err := ParseReply(mustParse(t, tt.xml)); err != nil || got.Error.Code != tt.code {
			t.Errorf("%s: %v, %v", tt.xml, got.Error, err)
		}
	}
}
