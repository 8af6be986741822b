package sm

import (
	"fmt"

	"meshgate/internal/stanza"
)

// A Dialect is a version of the protocol, named by its namespace.
type Dialect string

// The dialects that an Engine speaks. sm:2 (XEP-0198 1.0) has the elements
// and the counting of sm:3; it has no location, and stanzas and <t/> in it are
// ignored.
const (
	None Dialect = ""
	V3   Dialect = stanza.NSSM3
	V2   Dialect = stanza.NSSM2
)

// Newest picks the newest dialect among the stream features offered.
func Newest(offered func(namespace string) bool) Dialect {
	for _, d := range []Dialect{V3, V2} {
		if offered(string(d)) {
			return d
		}
	}
	return None
}

func (d Dialect) appendEnable(b []byte) []byte {
	return fmt.Appendf(b, "<enable xmlns='%s' resume='true'/>", string(d))
}

func (d Dialect) appendRequest(b []byte) []byte {
	return fmt.Appendf(b, "<r xmlns='%s'/>", string(d))
}

func (d Dialect) appendAnswer(b []byte, h uint32) []byte {
	return fmt.Appendf(b, "<a xmlns='%s' h='%d'/>", string(d), h)
}

// AppendResume appends the request to resume a session.
func (r Resumption) AppendResume(b []byte) []byte {
	return fmt.Appendf(b, "<resume xmlns='%s' previd='%s' h='%d'/>", string(r.Dialect), stanza.Escape(r.ID), r.H)
}
