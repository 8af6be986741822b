package clique

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"meshgate/internal/stanza"
)

const salutInvitation = `<message type='normal' from='crone@desktop' to='hecate@broom' xmlns='jabber:client'><body>You got a Clique chatroom invitation</body>` +
	`<invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname>Witchcraft</roomname><reason>We need to plot</reason>` +
	`<address>239.255.71.66</address><port>13251</port></invite></message>`

var plot = Invitation{Room: "Witchcraft", Reason: "We need to plot", Group: netip.MustParseAddrPort("239.255.71.66:13251")}

var sameInvitation = cmp.Options{cmpopts.IgnoreUnexported(Invitation{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

// CQ-11: with a body for others; what others put in is kept.
func TestInvitationsAreAsSalutWritesThem(t *testing.T) {
	want := parse(t, salutInvitation)
	if got := plot.Message().WithAttr("from", "crone@desktop").WithAttr("to", "hecate@broom"); got.String() != want.String() {
		t.Errorf("written as\n%s\nwant\n%s", got, want)
	}
	got, ok := ParseInvitation(want)
	if d := cmp.Diff(plot, got, sameInvitation); d != "" || !ok || got.Check() != nil {
		t.Error(ok, got.Check(), d)
	}
	const properties = `<properties xmlns='http://laptop.org/xmpp/activity-properties'><property name='color' type='str'>#fff</property></properties>`
	st := parse(t, strings.Replace(salutInvitation, "<address>", properties+"<address>", 1))
	got, ok = ParseInvitation(st)
	if !ok || len(got.Extra) != 1 || !strings.Contains(got.Message().String(), properties) {
		t.Errorf("foreign properties: %v, on again %v", got.Extra, got.Message())
	}
}

// CQ-11: as Salut reads them.
func TestInvitationsAreTakenInAnyShape(t *testing.T) {
	for name, in := range map[string]string{
		"any type":         strings.Replace(salutInvitation, "normal", "chat", 1),
		"no body":          strings.Replace(salutInvitation, "<body>You got a Clique chatroom invitation</body>", "", 1),
		"any namespaces":   strings.Replace(salutInvitation, "<roomname>", "<roomname xmlns='x'>", 1),
		"the first counts": strings.Replace(salutInvitation, "</invite>", "<port>1</port></invite>", 1),
	} {
		if got, ok := ParseInvitation(parse(t, in)); !ok || got.Room != plot.Room || got.Group != plot.Group || got.Check() != nil {
			t.Errorf("%s: %v, %v", name, ok, got)
		}
	}
	noReason := strings.Replace(salutInvitation, "<reason>We need to plot</reason>", "", 1)
	if got, ok := ParseInvitation(parse(t, noReason)); !ok || got.Reason != "" || strings.Contains(got.Message().String(), "reason") {
		t.Errorf("no reason: %v, %v", ok, got)
	}
	for _, child := range []string{"roomname", "address", "port"} {
		in := strings.NewReplacer("<"+child, "<x", "</"+child, "</x").Replace(salutInvitation)
		if got, ok := ParseInvitation(parse(t, in)); ok {
			t.Errorf("without %s: %v", child, got)
		}
	}
	for _, in := range []string{`<message/>`, `<iq/>`, `<message><invite xmlns='x'/></message>`} {
		if got, ok := ParseInvitation(parse(t, in)); ok {
			t.Errorf("%s: %v", in, got)
		}
	}
	if _, ok := ParseInvitation(nil); ok {
		t.Error("nothing is an invitation")
	}
}

// CQ-11, IJ: an invitation leads to a room and nowhere else.
func TestHostileInvitationsAreRefusedInWords(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"13251", "http", "leads nowhere"},
		{"13251", "99999", "leads nowhere"},
		{"13251", " 13251", "leads nowhere"},
		{"13251", "80", "1024 or above"},
		{"239.255.71.66", "127.0.0.1", "not the address of a multicast group"},
		{"239.255.71.66", "10.0.0.1", "not the address of a multicast group"},
		{"239.255.71.66", "::ffff:239.255.71.66", "not the address of a multicast group"},
		{"239.255.71.66", "printer.local", "leads nowhere"},
		{"239.255.71.66", "", "leads nowhere"},
		{"239.255.71.66", "224.0.0.251", "protocols of the network itself"},
		{"239.255.71.66", "ff02::fb", "protocols of the network itself"},
		{"239.255.71.66", "ff11::1:2", "not the address of a multicast group"},
		{"Witchcraft", strings.Repeat("x", 64), "at most 63 bytes"},
		{"Witchcraft", "", "no name"},
		{"Witchcraft", "a&#10;b", "control characters"},
	} {
		st := parse(t, strings.Replace(salutInvitation, tt.from, tt.to, 1))
		got, ok := ParseInvitation(st)
		if err := got.Check(); !ok || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s as %q: %v, %v, want %q", tt.from, tt.to, ok, err, tt.want)
		}
		if err := New(Config{}, nil).Join(Room{Name: got.Room, Group: got.Group}); err == nil && got.Group.IsValid() {
			t.Errorf("%s as %q: Join takes it", tt.from, tt.to)
		}
	}
	if got, _ := ParseInvitation(parse(t, strings.Replace(salutInvitation, "239.255.71.66", "ff15::47:42", 1))); got.Check() != nil {
		t.Errorf("an IPv6 group: %v", got.Check())
	}
	long := parse(t, strings.Replace(salutInvitation, "We need to plot", strings.Repeat("ö", 5000), 1))
	if got, _ := ParseInvitation(long); len(got.Reason) > maxReason {
		t.Errorf("a reason of %d bytes", len(got.Reason))
	}
}

func FuzzInvitation(f *testing.F) {
	f.Add(salutInvitation)
	f.Add(`<message><invite xmlns='http://telepathy.freedesktop.org/xmpp/clique'><roomname/><port/><address>%</address></invite></message>`)
	f.Fuzz(func(t *testing.T, in string) {
		st, err := stanza.Parse([]byte(in), stanza.NSClient, stanza.Limits{})
		if err != nil {
			return
		}
		i, ok := ParseInvitation(st)
		if !ok || i.Check() != nil {
			return
		}
		again, ok := ParseInvitation(i.Message())
		if d := cmp.Diff(i, again, sameInvitation, cmpopts.EquateEmpty()); d != "" || !ok {
			t.Error(ok, d)
		}
	})
}
