package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"meshgate/linklocal"
)

// LL-10: however a contact's presence and picture change, its mirror changes
// at most once a second, shows what holds in the end, and no more is published
// than changes.
func TestLL10ChangesAreCoalescedAndTheLastOneIsShown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(rt, office())
		r.online(false)
		r.wait(10 * time.Second)
		seen := len(r.actions)
		var last linklocal.Contact
		var at time.Time
		check := func() {
			for _, a := range r.actions[seen:] {
				p, ok := a.(publish)
				if !ok || p.contact.ID != alice {
					continue
				}
				if p.contact.Presence.Msg == last.Presence.Msg && p.contact.Presence.Status == last.Presence.Status && sameIcon(p.contact.Icon, last.Icon) {
					rt.Fatalf("published twice the same: %+v", p.contact)
				}
				if !at.IsZero() && r.now.Sub(at) < time.Second {
					rt.Fatalf("published again after %v", r.now.Sub(at))
				}
				last, at = p.contact, r.now
			}
			seen = len(r.actions)
		}
		msg, show, icon := "", "", "-"
		for i := range rapid.IntRange(1, 30).Draw(rt, "changes") {
			if rapid.Bool().Draw(rt, "picture") {
				icon = rapid.SampledFrom([]string{"-", "A", "B"}).Draw(rt, "icon")
				r.command("avatar alice " + icon)
			} else {
				show = rapid.SampledFrom([]string{"", "away", "dnd"}).Draw(rt, "show")
				msg = fmt.Sprint(rapid.IntRange(0, i).Draw(rt, "msg"))
				r.presence("alice@example.org/x", show, msg, 0, true)
			}
			check()
			// In steps, so that each publication is seen when it is made.
			for range rapid.IntRange(0, 6).Draw(rt, "steps of 250 ms") {
				r.wait(250 * time.Millisecond)
				check()
			}
		}
		r.presence("alice@example.org/x", show, msg, 0, true)
		for range 8 {
			check()
			r.wait(250 * time.Millisecond)
		}
		check()
		if last.Presence.Msg != msg || string(last.Presence.Status) != map[string]string{"": "avail", "away": "away", "dnd": "dnd"}[show] || !sameIcon(last.Icon, picture(icon)) {
			rt.Fatalf("shown is %+v, want %q %q %s", last, show, msg, icon)
		}
	})
}

// LL-04, LL-17: what a contact's own switches are is told to the mesh with it.
func TestLL17AContactsPrivacyGoesWithIt(t *testing.T) {
	cfg := office()
	own := linklocal.PublishKeys{Msg: true}
	cfg.Contacts[0].Publish, cfg.Contacts[0].Email = &own, "alice@mail.example"
	r := newRig(t, cfg)
	r.online(false)
	r.presence("alice@example.org/x", "", "hi", 0, true)
	r.presence("boss@example.org/x", "", "hi", 0, true)
	got := map[linklocal.ContactID]linklocal.Contact{}
	for _, a := range r.actions {
		if p, ok := a.(publish); ok {
			got[p.contact.ID] = p.contact
		}
	}
	if c := got[alice]; c.Publish == nil || *c.Publish != own || c.Presence.Email != "alice@mail.example" || c.Presence.VC != "!" {
		t.Errorf("alice: %+v", c)
	}
	if c := got["boss@example.org"]; c.Publish != nil || c.Presence.First != "Bea" {
		t.Errorf("boss: %+v", c)
	}
}

// LL-10: show and status become the TXT record of the mirror, and a peer's TXT
// record shows in the gateway's own presence.
func TestLL10PresenceBothWays(t *testing.T) {
	for _, tc := range []struct {
		show string
		want linklocal.Status
	}{{"", "avail"}, {"chat", "avail"}, {"away", "away"}, {"xa", "away"}, {"dnd", "dnd"}} {
		r := newRig(t, office())
		r.online(false)
		r.presence("boss@example.org/a", tc.show, "in a\nmeeting", 0, true)
		var got *linklocal.Contact
		for _, a := range r.actions {
			if p, ok := a.(publish); ok && p.contact.User == "chief" {
				got = &p.contact
			}
		}
		if got == nil || got.Presence.Status != tc.want || got.Presence.Msg != "in a meeting" || got.Presence.First != "Bea" || got.Presence.JID != "boss@example.org" {
			t.Errorf("show %q: published %+v", tc.show, got)
		}
	}
	for status, want := range map[linklocal.Status]string{"": "bob@h2", "avail": "bob@h2", "away": "bob@h2 (away)", "dnd": "bob@h2 (dnd)", "] evil": "bob@h2"} {
		r := newRig(t, office())
		r.peer("bob@h2", linklocal.Presence{Status: status})
		r.wait(time.Minute)
		last := ""
		for _, a := range r.actions {
			if p, ok := a.(setPresence); ok {
				last = p.status
			}
		}
		if last != "LAN: "+want {
			t.Errorf("status %q: own presence %q, want %q", status, last, "LAN: "+want)
		}
	}
}

// LL-17: what a contact keeps from the mesh the concierge does not tell either.
func TestLL17TheConciergeTellsNoMoreThanTheMirror(t *testing.T) {
	for want, keys := range map[string]linklocal.PublishKeys{
		"contacts: Alice (away: “brb”), ": openKeys,
		"contacts: Alice (“brb”), ":       {Nick: true, Msg: true},
		"contacts: Alice (away), ":        {Nick: true, Status: true},
		"contacts: alice, ":               {},
	} {
		cfg := office()
		cfg.Contacts[0].Publish = &keys
		r := newRig(t, cfg)
		r.online(false)
		r.command("here bob@h2")
		r.presence("alice@example.org/x", "away", "brb", 0, true)
		r.taken()
		r.command("lan bob@h2 gate who")
		if got := strings.Join(r.taken(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%+v: %s, want %q", keys, got, want)
		}
	}
}

// LL-10: the peers' status and words are the gateway's status, the words only
// as long as all of it fits.
func TestLL10PeersAreInTheGatewaysStatus(t *testing.T) {
	r := newRig(t, office())
	r.peer("bob@h2", linklocal.Presence{Status: linklocal.DND, Msg: "in a meeting"})
	r.wait(10 * time.Second)
	if got, want := r.taken(), `presence: "LAN: bob@h2 (dnd: “in a meeting”)"`; len(got) == 0 || got[len(got)-1] != want {
		t.Errorf("%q, want %s", got, want)
	}
	for i := range 9 {
		r.peer(linklocal.Instance(fmt.Sprintf("p%d@h1", i)), linklocal.Presence{Msg: strings.Repeat("x", 50)})
	}
	r.wait(10 * time.Second)
	lines := r.taken()
	got := lines[len(lines)-1]
	if strings.Contains(got, "xxx") || !strings.Contains(got, "bob@h2 (dnd), p0@h1, ") {
		t.Errorf("with many peers: %s", got)
	}
}

// LL-16: who was told is not told again after a restart.
func TestLL16WhoWasToldIsRemembered(t *testing.T) {
	r := newRig(t, office(), noteTold+"bob@h2")
	r.online(false)
	for _, peer := range []string{"Bob@h2", "carol@h1"} {
		r.command("here " + peer)
		r.command("stream " + peer + " alice plain")
		r.command("lan " + peer + " alice hello")
	}
	var told []string
	for _, a := range r.actions {
		if out, ok := a.(toLAN); ok {
			told = append(told, string(out.to))
		}
	}
	if len(told) != 1 || told[0] != "carol@h1" {
		t.Errorf("told %q, want carol@h1 alone", told)
	}
}

// LL-16: nobody is told where the configuration does not want it.
func TestLL16NobodyIsToldIfThatIsSwitchedOff(t *testing.T) {
	cfg := office()
	cfg.WarnPlain = false
	r := newRig(t, cfg)
	r.online(false)
	r.command("here bob@h2")
	r.command("stream bob@h2 alice plain")
	r.command("lan bob@h2 alice hello")
	if got := strings.Join(r.taken(), "\n"); strings.Contains(got, "to bob@h2") {
		t.Error(got)
	}
}

// What others can make the gateway remember of warnings is bounded.
func TestLL16WarningsAreBounded(t *testing.T) {
	cfg := office()
	cfg.Limits.PeerRate = Rate{PerMinute: 1e6, Burst: 1e5}
	r := newRig(t, cfg)
	r.online(false)
	for i := range 2 * maxPlain {
		peer := fmt.Sprintf("p%d@h1", i)
		r.command("here " + peer)
		r.command("stream " + peer + " alice plain")
		r.command("lan " + peer + " alice hello")
		r.command("left " + peer)
	}
	if n, m := len(r.e.warning.sent), r.e.warning.plain.Len(); n != maxWarning || m > maxPlain {
		t.Errorf("%d warnings on their way, %d streams known", n, m)
	}
}

// LL-16: one who calls again and again does not keep another from being told.
func TestLL16StreamsOfOnePeerPushNobodyOut(t *testing.T) {
	r := newRig(t, office())
	r.online(false)
	r.command("here bob@h2")
	r.command("stream bob@h2 alice plain")
	for range 2 * maxPlain {
		r.command("stream carol@h1 alice plain")
	}
	r.taken()
	r.command("lan bob@h2 alice hello")
	if got := strings.Join(r.taken(), "\n"); !strings.Contains(got, wordsPlain) {
		t.Errorf("bob is told nothing: %s", got)
	}
}

// LL-15: a picture of before a restart is taken away if nobody is in it any
// more, and one that the gateway has not set is left alone.
func TestLL15TheAvatarAfterARestart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy AvatarPolicy
		notes  []string
		after  time.Duration
		want   string
	}{
		{"ours", AvatarPeers, []string{noteAvatar}, 31 * time.Second, "avatar: nobody|no note any more: " + noteAvatar},
		{"ours, early", AvatarPeers, []string{noteAvatar}, 29 * time.Second, ""},
		{"not ours", AvatarPeers, nil, time.Hour, ""},
		{"ours, switched off", AvatarOff, []string{noteAvatar}, 0, "avatar: nobody|no note any more: " + noteAvatar},
		{"not ours, switched off", AvatarOff, nil, time.Hour, ""},
		{"a file", AvatarFixed, nil, 0, "avatar: F|note: " + noteAvatar},
		{"a file again", AvatarFixed, []string{noteAvatar}, 0, "avatar: F|note: " + noteAvatar},
	} {
		cfg := office()
		cfg.Avatar, cfg.AvatarImage = tt.policy, picture("F")
		r := newRig(t, cfg, tt.notes...)
		r.wait(tt.after)
		var got []string
		for _, line := range r.taken() {
			if strings.Contains(line, "avatar") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Right after the start nobody is on the roster yet: who asks is told so.
func TestRightAfterTheStart(t *testing.T) {
	cfg := office()
	cfg.Timing.LookAround = 10 * time.Second
	r := newRig(t, cfg)
	r.online(false)
	for _, after := range []time.Duration{9 * time.Second, 2 * time.Second} {
		r.wait(after)
		for _, words := range []string{"@dave hi", "@who", "hello"} {
			r.taken()
			r.command("net alice/x " + words[:2] + " " + words)
			early := r.now.Before(start.Add(10 * time.Second))
			if got := strings.Join(r.taken(), "\n"); strings.Contains(got, "still looking") != early {
				t.Errorf("%v after the start, %q: %s", r.now.Sub(start), words, got)
			}
		}
	}
}

// LL-10: a change is told at once after a quiet time, the next one after the
// damping, and what changes nothing delays neither, nor is it looked at for
// each of a flood of events.
func TestAnnouncerTellsSoonAndNotOften(t *testing.T) {
	a, made := announcer{damp: 5 * time.Second}, 0
	at := func(after time.Duration, status string) string {
		act := a.update(start.Add(after), func() string { made++; return status })
		if p, ok := act.(setPresence); ok {
			return p.status
		}
		return ""
	}
	for _, s := range []struct {
		after        time.Duration
		status, want string
	}{
		{0, "a", "a"}, {4 * time.Second, "b", ""}, {5 * time.Second, "b", "b"},
		{20 * time.Second, "b", ""}, // nothing new
		{20*time.Second + announcerLook, "c", "c"},
	} {
		if got := at(s.after, s.status); got != s.want {
			t.Errorf("after %v: told %q, want %q", s.after, got, s.want)
		}
	}
	made = 0
	for i := range 1000 {
		at(time.Minute+time.Duration(i)*time.Millisecond, "c")
	}
	if most := int(time.Second / announcerLook); made > most+1 || made < most/2 {
		t.Errorf("made %d times in a second, want about %d", made, most)
	}
}
