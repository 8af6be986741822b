package dsps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/internal/stanza"
)

// What was read and written again says the same.
func FuzzQuery(f *testing.F) {
	for _, xml := range []string{
		`<iq type='get' from='a@b/c' to='d'><query type='create' xmlns='jabber:iq:dsps' minthroughput='1.5KB' maxpublic='20'><peer port='1'>x/y</peer><comment><a xmlns='z'/></comment></query></iq>`,
		`<iq type='set'><query type='admin' xmlns='jabber:iq:dsps' expire='20' wait='0'><peer type='drop'>x/y</peer></query></iq>`,
		`<iq type='result'><query type='who' xmlns='jabber:iq:dsps'><peer type='slave' throughput='1KB////2KB'>x</peer></query></iq>`,
		`<iq type='result'><query type='stats' xmlns='jabber:iq:dsps' init='9' wait='1'><publicid>x</publicid></query></iq>`,
		`<iq type='error'><error code='405'>no</error></iq>`, presenceExample("1", "drop"), answerExample("connect"),
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stanza.Parse(b, stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		for _, read := range []parser{ParseRequest, ParseReply} {
			first, err := read(el)
			if err != nil || first.Kind == "error" {
				continue
			}
			xml := first.Element().String()
			el, err := stanza.Parse([]byte(xml), stanza.NSClient, stanza.Limits{})
			if err != nil {
				t.Fatalf("%v in %s", err, xml)
			}
			second, err := read(el)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("written as %s, (-first +second):\n%s", xml, diff)
			}
		}
	})
}
