package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

func TestLogFormatAndLevel(t *testing.T) {
	for _, tt := range []struct {
		cfg     logConfig
		verbose bool
		want    []string
		not     string
	}{
		// What is no terminal gets JSON.
		{logConfig{Level: "info", Format: "auto"}, false, []string{`"level":"INFO","msg":"loud","jid":"a@b/c","wait":"1m30s"`}, "quiet"},
		{logConfig{Level: "info", Format: "text"}, false, []string{`level=INFO msg=loud jid=a@b/c wait=1m30s`}, "quiet"},
		{logConfig{Level: "error", Format: "text"}, false, nil, "loud"},
		{logConfig{Level: "error", Format: "text"}, true, []string{"msg=quiet", "msg=loud"}, "none"},
	} {
		var out bytes.Buffer
		log := newLogger(&out, tt.cfg, tt.verbose)
		log.Debug("quiet")
		log.Info("loud", "jid", jid.MustParse("a@b/c"), "wait", 90*time.Second)
		for _, w := range tt.want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%+v: no %s in %s", tt.cfg, w, &out)
			}
		}
		if strings.Contains(out.String(), tt.not) {
			t.Errorf("%+v: %s in %s", tt.cfg, tt.not, &out)
		}
	}
}

func TestEveryLevelOfTheConfigHasItsOwn(t *testing.T) {
	seen := map[slog.Level]string{}
	for _, name := range []string{"debug", "info", "warn", "error"} {
		l := level(name)
		if seen[l] != "" || !strings.EqualFold(l.String(), name) {
			t.Errorf("level(%q) = %v", name, l)
		}
		seen[l] = name
	}
}

func TestCountersAreNamedAsPeopleWrite(t *testing.T) {
	for field, want := range map[string]string{
		"PacketsIn": "packets_in", "FromLAN": "from_lan", "IQAnswered": "iq_answered", "IQsIn": "iqs_in",
		"TLSResumed": "tls_resumed", "Online": "online", "SM": "sm", "OffLink": "off_link",
	} {
		if got := attrName(field); got != want {
			t.Errorf("attrName(%s) = %s, want %s", field, got, want)
		}
	}
}

func TestCountersOfAllKinds(t *testing.T) {
	type inner struct{ Acked uint64 }
	stats := struct {
		N      int
		Errors map[string]int64
		SM     inner
	}{3, map[string]int64{"b": 2, "a": 1, "none": 0}, inner{7}}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("counters", counters(stats)...)
	if want := "msg=counters n=3 errors.a=1 errors.b=2 sm.acked=7\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s, want %s", &out, want)
	}
}
