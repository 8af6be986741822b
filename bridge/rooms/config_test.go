package rooms

import (
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/internal/bounds"
)

// Each mistake is named; what is right is none.
func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing":     {func(*Config) {}, ""},
		"a long site": {func(c *Config) { c.Site = strings.Repeat("x", maxSite+1) }, "rooms: site: its name must have at most 128 bytes"},
		"a mark":      {func(c *Config) { c.Mark = "[gate]" }, "must not hold any of"},
		"no name":     {func(c *Config) { c.Rooms[0].Name = "" }, "must have 1 to 63 bytes"},
		"no MUC":      {func(c *Config) { c.Rooms[0].MUC = jid.MustParse("example.org") }, "is no address of a MUC"},
		"one name":    {func(c *Config) { c.Rooms[1].Name = "Witchcraft" }, "room Witchcraft: given twice"},
		"one MUC":     {func(c *Config) { c.Rooms[1].MUC = theMUC }, "is joined to another room already"},
		"a history":   {func(c *Config) { c.Rooms[0].History.Age = -1 }, "must not be negative"},
		"a rate":      {func(c *Config) { c.Limits.MemberRate = bounds.Rate{PerMinute: -1, Burst: 1} }, "both must be above zero"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Site: strings.Repeat("x", maxSite), Rooms: []Room{{Name: "Witchcraft", MUC: theMUC}, {Name: "Coven", MUC: jid.MustParse("coven@conference.example.org")}}}
			tc.change(&c)
			if err := c.Validate(); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
