package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"meshgate/bridge"
)

// newLogger returns the log that the configuration asks for.
func newLogger(w io.Writer, cfg logConfig, verbose bool) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level(cfg.Level), ReplaceAttr: spell}
	if verbose {
		opt.Level = slog.LevelDebug
	}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opt))
	}
	return slog.New(slog.NewJSONHandler(w, opt))
}

// spell writes what has a text form, an address or a duration, in that form:
// JSON would show its insides.
func spell(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(v.Duration().String())
	case slog.KindAny:
		if s, ok := v.Any().(fmt.Stringer); ok {
			a.Value = slog.StringValue(s.String())
		}
	}
	return a
}

func level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// counters turns a part's Stats into attributes: every number and switch in
// it, of a ledger the outcomes and of a map the entries that occurred.
func counters(stats any) []any {
	var attrs []any
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		name := attrName(v.Type().Field(i).Name)
		switch f := v.Field(i).Interface().(type) {
		case bridge.Ledger:
			attrs = append(attrs, ledger(name, f))
		case map[string]int64:
			attrs = append(attrs, occurred(name, f))
		case bool, int, int64, uint32, uint64:
			attrs = append(attrs, slog.Any(name, f))
		default:
			if v.Field(i).Kind() == reflect.Struct {
				attrs = append(attrs, slog.Group(name, counters(f)...))
			}
		}
	}
	return attrs
}

func occurred(name string, m map[string]int64) slog.Attr {
	var attrs []any
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] > 0 {
			attrs = append(attrs, slog.Int64(k, m[k]))
		}
	}
	return slog.Group(name, attrs...)
}

func ledger(name string, l bridge.Ledger) slog.Attr {
	attrs := []any{slog.Uint64("entered", l.Entered), slog.Uint64("carried", l.Carried), slog.Uint64("pending", l.Pending)}
	for _, o := range bridge.Outcomes() {
		if n := l.Ended[o]; n > 0 {
			attrs = append(attrs, slog.Uint64(o.String(), n))
		}
	}
	return slog.Group(name, attrs...)
}

var (
	wordEnd    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	acronymEnd = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
)

// attrName writes PacketsIn as packets_in, and IQAnswered as iq_answered.
func attrName(field string) string {
	s := strings.ReplaceAll(field, "IQs", "Iqs")
	s = acronymEnd.ReplaceAllString(wordEnd.ReplaceAllString(s, "${1}_$2"), "${1}_$2")
	return strings.ToLower(s)
}
