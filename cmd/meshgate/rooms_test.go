package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshgate/bridge/status"
)

func TestRoomsPrintsWhoIsInThem(t *testing.T) {
	list := []status.Room{
		{Name: "Witch\x1bcraft", MUC: "w@muc.example.org", Group: "239.255.71.66:13251", State: "joined", Members: []string{"crone@desktop", "h\x07x"}},
		{Name: "Plot", MUC: "p@muc.example.org", State: "the server is not reached", Carrier: "meshgate@two", Occupants: []string{"alice"}, More: 41},
	}
	path := served(t, status.Config{Rooms: func() []status.Room { return list }})
	var out, errs bytes.Buffer
	if code := realMain([]string{"rooms", "-socket", path}, process{stdout: &out, stderr: &errs, getenv: noEnv}); code != exitOK {
		t.Fatalf("exit code %d, %s", code, &errs)
	}
	want := `Witch�craft = w@muc.example.org
  joined
  at 239.255.71.66:13251
  on the LAN: crone@desktop, h�x
  on the network: nobody

Plot = p@muc.example.org
  the server is not reached
  carried by meshgate@two
  on the LAN: nobody
  on the network: alice and 41 more
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	out.Reset()
	realMain([]string{"rooms", "-json", "-socket", path}, process{stdout: &out, stderr: &errs, getenv: noEnv})
	var got []status.Room
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || !cmp.Equal(list, got) {
		t.Errorf("%v\n%s", err, &out)
	}
	if got := roomsText(nil); got != "there are no rooms in the configuration\n" {
		t.Error(got)
	}
}
