package doctor

import (
	"slices"
	"strings"
)

// A Severity says how bad a Finding is.
type Severity string

// The severities, the worst first.
const (
	Fault   Severity = "fault"   // something does not work
	Warning Severity = "warning" // something may not work, or not always
	Note    Severity = "note"    // worth knowing
	OK      Severity = "ok"      // this is as it should be
)

var severities = []Severity{Fault, Warning, Note, OK}

// A Finding is one thing that Judge has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"` // a name for programs: "multicast-route"
	Text     string   `json:"text"`
	Mend     string   `json:"mend,omitempty"` // what a person can do
}

func fault(check, text, mend string) Finding   { return Finding{Fault, check, text, mend} }
func warning(check, text, mend string) Finding { return Finding{Warning, check, text, mend} }
func note(check, text string) Finding          { return Finding{Note, check, text, ""} }
func fine(check, text string) Finding          { return Finding{OK, check, text, ""} }

// Judge says what the facts mean, the worst first.
func Judge(f Facts) []Finding {
	all := slices.Concat(judgeLinks(f), judgeSubnets(f), judgeRoute(f), judgePort(f), judgeLANs(f), judgeNames(f), judgeServer(f), judgeClock(f))
	slices.SortStableFunc(all, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return all
}

// Count is how many findings are of a severity.
func Count(list []Finding, s Severity) (n int) {
	for _, f := range list {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// listed writes "a, b and c".
func listed[T ~string](list []T) string {
	var b strings.Builder
	for i, s := range list {
		switch {
		case i > 0 && i == len(list)-1:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	return b.String()
}
