package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"meshgate/bridge/status"
)

// A column of a table. One that does not fit is cut, though not below least.
type column struct {
	head  string
	least int
}

var peerColumns = []column{{"NAME", 12}, {"CLIENT", 6}, {"STATUS", 8}, {"ADDRESS", 9}, {"LINK", 4}, {"FOR", 3}}

const columnGap = 2

// peerTable draws who is there, each line at most so many columns wide.
func peerTable(peers []status.Peer, now time.Time, columns int) string {
	if len(peers) == 0 {
		return "nobody is on the LAN\n"
	}
	rows := make([][]string, 0, len(peers))
	for _, p := range sorted(peers) {
		rows = append(rows, []string{plain(p.Name), clientText(p), statusText(p), addrText(p), plain(strings.Join(p.Links, ",")), age(now.Sub(p.Since))})
	}
	return drawTable(peerColumns, rows, columns)
}

// sorted is the peers as a person looks for them: by name, whatever its case.
func sorted(peers []status.Peer) []status.Peer {
	return slices.SortedFunc(slices.Values(peers), func(a, b status.Peer) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Name, b.Name))
	})
}

func drawTable(cols []column, rows [][]string, columns int) string {
	widths := widthsOf(cols, rows, columns)
	var b strings.Builder
	line := func(texts func(i int) string) {
		var l strings.Builder
		for i := range cols {
			l.WriteString(fit(texts(i), widths[i]))
			l.WriteString(strings.Repeat(" ", columnGap))
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(func(i int) string { return cols[i].head })
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return b.String()
}

// widthsOf gives each column what it needs, and takes from the widest ones
// until all fit.
func widthsOf(cols []column, rows [][]string, columns int) []int {
	widths := make([]int, len(cols))
	total := columnGap * (len(cols) - 1)
	for i, c := range cols {
		widths[i] = cells(c.head)
		for _, row := range rows {
			widths[i] = max(widths[i], min(cells(row[i]), columns))
		}
		total += widths[i]
	}
	for ; total > columns; total-- {
		widest := -1
		for i := range cols {
			if widths[i] > cols[i].least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func clientText(p status.Peer) string {
	switch {
	case p.Own != "":
		return "this gateway"
	case p.Client == "":
		return "?"
	}
	return plain(p.Client)
}

// statusWords are those of the TXT key in words that people know.
var statusWords = map[string]string{"avail": "here", "away": "away", "dnd": "busy"}

func statusText(p status.Peer) string {
	s := cmp.Or(statusWords[p.Status], plain(p.Status))
	if p.Message != "" {
		s += ": " + plain(p.Message)
	}
	return s
}

// addrText is the address that a person would recognise, and how many more
// there are.
func addrText(p status.Peer) string {
	if len(p.Addrs) == 0 {
		return "?"
	}
	best := p.Addrs[0]
	for _, a := range p.Addrs {
		if a.Is4() && !best.Is4() {
			best = a
		}
	}
	s := plain(best.String())
	if n := len(p.Addrs) - 1; n > 0 {
		s += fmt.Sprintf(" +%d", n)
	}
	return s
}

// age says how long in its largest unit: "5m".
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// changeLine says what became of a peer, for a log: unlike in a table nothing
// is cut.
func changeLine(c status.Change, now time.Time) string {
	p := c.Peer
	line := now.Format("15:04:05") + " " + c.Op + " " + plain(p.Name)
	if c.Op != status.Gone {
		line += "  " + clientText(p) + "  " + statusText(p) + "  " + addrText(p) + "  " + plain(strings.Join(p.Links, ","))
	}
	return strings.TrimRight(line, " ") + "\n"
}
