package clique

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/clique/rmulticast"
)

var aTube = Tube{
	ID: 17, Type: "dbus", Service: "org.example.Go", Stream: 3, Initiator: "crone@desktop", BusName: ":1.4",
	Parameters: []Parameter{{"size", "int", "19"}, {"title", "str", "a <game>"}},
}

// CQ-07: streams are announced and released by what is said on stream 0.
func TestTubeListsAreAsSalutWritesThem(t *testing.T) {
	list := tubeList([]Tube{aTube, {ID: 18, Type: "stream", Service: "x"}})
	const want = `<tube type="dbus" service="org.example.Go" id="17" stream-id="3" initiator="crone@desktop" dbus-name=":1.4">` +
		`<parameters><parameter name="size" type="int">19</parameter><parameter name="title" type="str">a &lt;game&gt;</parameter></parameters></tube>` +
		`<tube type="stream" service="x" id="18"><parameters/></tube>`
	if doc := string(appendDocument(nil, "a@b", "R", list)); !strings.Contains(doc, want) {
		t.Errorf("written as %s", doc)
	}
	got, ok := parseTubes(list)
	if d := cmp.Diff([]Tube{aTube, {ID: 18, Type: "stream", Service: "x"}}, got); d != "" || !ok {
		t.Error(ok, d)
	}
}

func TestTubesThatMakeNoSenseArePassedOver(t *testing.T) {
	for _, in := range []string{
		`<tube type='dbus' service='s' id='0' stream-id='1'/>`, `<tube type='dbus' service='s' id='-1' stream-id='1'/>`,
		`<tube type='dbus' service='s' id='2147483648' stream-id='1'/>`, `<tube type='dbus' service='s' id='1'/>`,
		`<tube type='dbus' service='s' id='1' stream-id='0'/>`, `<tube type='dbus' service='s' id='1' stream-id='65536'/>`,
		`<tube type='dbus' id='1' stream-id='1'/>`, `<tube type='other' service='s' id='1' stream-id='1'/>`,
		`<tuba type='dbus' service='s' id='1' stream-id='1'/>`, `<tube xmlns='x' type='dbus' service='s' id='1' stream-id='1'/>`,
	} {
		st := parse(t, `<message><tubes xmlns='`+nsTubes+`'>`+in+`</tubes></message>`)
		if got, ok := parseTubes(st); len(got) != 0 || !ok {
			t.Errorf("%s: %v, %v", in, got, ok)
		}
	}
	many := strings.Repeat(`<tube type='stream' service='s' id='1'/>`, 2*maxTubes)
	if got, _ := parseTubes(parse(t, `<message><tubes xmlns='`+nsTubes+`'>`+many+`</tubes></message>`)); len(got) != maxTubes {
		t.Errorf("%d tubes of one member", len(got))
	}
	if _, ok := parseTubes(textMessage("x")); ok {
		t.Error("a text has tubes")
	}
}

// CQ-07: 1, 2, 3 … 65535, 1, but never one that is in use.
func TestStreamsAreGivenInOrderAndAgain(t *testing.T) {
	var own ownTubes
	open := func() rmulticast.StreamID {
		t.Helper()
		tube, err := own.open(aTube)
		if err != nil {
			t.Fatal(err)
		}
		return tube.Stream
	}
	if got := fmt.Sprint(open(), open(), open()); got != "1 2 3" {
		t.Errorf("given %s", got)
	}
	if !own.close(2) || own.close(2) || own.has(2) || !own.has(3) {
		t.Error("2 was not released once")
	}
	own.last = 65534
	if got := fmt.Sprint(open(), open(), open()); got != "65535 2 4" {
		t.Errorf("given %s, want 65535 2 4: 1 and 3 are in use", got)
	}
	for len(own.list) < maxTubes {
		open()
	}
	if _, err := own.open(aTube); err == nil {
		t.Error("there is no end of tubes")
	}
}
