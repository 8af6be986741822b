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
