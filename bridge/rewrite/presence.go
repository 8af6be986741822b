package rewrite

import "meshgate/linklocal"

// Status is the TXT status for a <show/> of an available resource (LL-10).
//
// COMPAT libpurple 2.14: shows "away" as available and only "dnd" as away.
// The mapping of XEP-0174 §3.1 is kept all the same.
func Status(show string) linklocal.Status {
	switch show {
	case "away", "xa":
		return linklocal.Away
	case "dnd":
		return linklocal.DND
	}
	return linklocal.Available
}

// Show is the <show/> for a TXT status: the other direction of Status. A
// status that XEP-0174 does not know counts as available.
func Show(s linklocal.Status) string {
	switch s {
	case linklocal.Away:
		return "away"
	case linklocal.DND:
		return "dnd"
	}
	return ""
}
