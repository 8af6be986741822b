package dsps

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"meshgate/internal/stanza"
)

// What one stanza may have at most.
const (
	maxQueries   = 64  // blocks; a list of public streams has one for each kind
	maxListed    = 512 // peers in all blocks
	maxComments  = 32
	maxFeatures  = 16
	maxKey       = 128                          // bytes
	maxMillis    = int64(100*365*24) * 3600_000 // 100 years
	maxPublicAsk = 1 << 20
)

// Errors of ParseRequest and ParseReply.
var (
	errTooMany = errors.New("dsps: too much in one stanza")
	errNotOurs = errors.New("dsps: not a stanza of ours")
)

// ParseRequest reads what a peer sends to a service. Everything that the
// document does not define is left out.
func ParseRequest(iq *stanza.Element) (IQ, error) {
	return parse(iq, map[string]reader{
		"get create":         readCreate,
		"result create":      readRelayKey,
		"get auth":           readAuth,
		"set admin":          readAdmin,
		"result acknowledge": readAnswer,
		"get who":            readWho,
		"get stats":          readStats,
	})
}

// ParseReply reads what a service sends to a peer, in the same way.
func ParseReply(iq *stanza.Element) (IQ, error) {
	return parse(iq, map[string]reader{
		"result create":   readPrepared,
		"get create":      readRelayKey,
		"result auth":     readAuth,
		"set presence":    readPresence,
		"result admin":    readReport,
		"get acknowledge": readInvitation,
		"set acknowledge": readDropped,
		"result who":      readWhoList,
		"result stats":    readStreamStats,
	})
}

// A reader reads a query; nil: it is to be ignored. What it counts against the
// limits of a stanza it counts in c.
type reader func(c *counter, q *stanza.Element) Query

// A counter is what a stanza has had.
type counter struct{ listed, comments, features int }

func (c counter) tooMuch() bool {
	return c.listed > maxListed || c.comments > maxComments*maxQueries || c.features > maxFeatures*maxQueries
}

func parse(el *stanza.Element, readers map[string]reader) (IQ, error) {
	if el == nil || el.Name.Local != "iq" {
		return IQ{}, errNotOurs
	}
	iq := IQ{Kind: el.Attr("type"), ID: el.Attr("id"), From: JID(el.Attr("from")), To: JID(el.Attr("to"))}
	if iq.Kind == "error" {
		iq.Error = parseError(el)
		return iq, nil
	}
	var c counter
	for q := range el.Children() {
		if !q.Is(NS, "query") {
			continue
		}
		read := readers[iq.Kind+" "+q.Attr("type")]
		if read == nil {
			continue
		}
		if parsed := read(&c, q); parsed != nil {
			iq.Queries = append(iq.Queries, parsed)
		}
		if len(iq.Queries) > maxQueries || c.tooMuch() {
			iq.Queries = nil
			return iq, errTooMany
		}
	}
	return iq, nil
}

func readCreate(c *counter, q *stanza.Element) Query {
	out := Create{MaxPublic: number(q.Attr("maxpublic"), maxPublicAsk), Comments: comments(c, q)}
	out.MinThroughput, _ = ParseRate(q.Attr("minthroughput"))
	for p, jid := range peers(c, q) {
		out.Dests = append(out.Dests, Dest{JID: jid, Host: host(p.Attr("host")), Port: port(p.Attr("port"))})
	}
	return out
}

func readPrepared(c *counter, q *stanza.Element) Query {
	out := Prepared{
		Wait: millis(q.Attr("wait")), Host: host(q.Attr("host")), Port: port(q.Attr("port")),
		Protocol: q.Attr("protocol"), Features: features(c, q),
	}
	out.MinThroughput, _ = ParseRate(q.Attr("minthroughput"))
	return out
}

func readRelayKey(_ *counter, q *stanza.Element) Query {
	if k := key(q.Text()); k != "" {
		return RelayKey{k}
	}
	return nil
}

func readAuth(_ *counter, q *stanza.Element) Query {
	return Auth{key(q.Text())}
}

func readPresence(c *counter, q *stanza.Element) Query {
	return Presence{presences(c, q, "status")}
}

func readReport(c *counter, q *stanza.Element) Query {
	return Report{presences(c, q, "acknowledge")}
}

func presences(c *counter, q *stanza.Element, attr string) []PeerPresence {
	var out []PeerPresence
	for p, jid := range peers(c, q) {
		out = append(out, PeerPresence{jid, Status(p.Attr(attr))})
	}
	return out
}

func readAdmin(c *counter, q *stanza.Element) Query {
	out := Admin{Expire: millis(q.Attr("expire")), Wait: millis(q.Attr("wait")), Comments: comments(c, q)}
	for p, jid := range peers(c, q) {
		switch what := p.Attr("type"); what {
		case string(Master), string(Slave):
			out.Peers = append(out.Peers, AdminPeer{jid, Right(what)})
		case string(Drop):
			out.Peers = append(out.Peers, AdminPeer{jid, ""})
		}
	}
	return out
}

func readInvitation(c *counter, q *stanza.Element) Query {
	out := Invitation{Right: Right(q.Attr("status")), Expire: millis(q.Attr("expire")), Comments: comments(c, q)}
	for _, jid := range peers(c, q) {
		out.Peers = append(out.Peers, jid)
	}
	return out
}

func readDropped(c *counter, q *stanza.Element) Query {
	if q.Attr("status") != string(Drop) {
		return nil
	}
	return Dropped{comments(c, q)}
}

// readAnswer: "If unknown "type" is sent, it will be interpreted as a reject."
func readAnswer(_ *counter, q *stanza.Element) Query {
	return Answer{Accept: q.Attr("status") == string(Connect)}
}

func readWho(_ *counter, q *stanza.Element) Query {
	if !plain(q) {
		return nil
	}
	return Who{}
}

func readStats(_ *counter, q *stanza.Element) Query {
	if !plain(q) {
		return nil
	}
	return Stats{}
}

// plain: "It may not contain a body or attributes, otherwise it will be
// ignored without error."
func plain(q *stanza.Element) bool {
	return len(q.Attrs) == 1 && trim(q.Text()) == "" && !hasChildren(q)
}

func hasChildren(e *stanza.Element) bool {
	for range e.Children() {
		return true
	}
	return false
}

func readWhoList(c *counter, q *stanza.Element) Query {
	var out WhoList
	for p, jid := range peers(c, q) {
		out.Peers = append(out.Peers, PeerInfo{
			JID: jid, Right: Right(p.Attr("type")), ID: p.Attr("id"), Status: Status(p.Attr("status")),
			Throughput: ParseThroughput(p.Attr("throughput")),
		})
	}
	return out
}

func readStreamStats(c *counter, q *stanza.Element) Query {
	const most = 1 << 30
	out := StreamStats{
		Protocol: q.Attr("protocol"), Port: port(q.Attr("port")),
		ExpireDefault: millis(q.Attr("expiredefault")), WaitDefault: millis(q.Attr("waitdefault")), Wait: millis(q.Attr("wait")),
		Public: number(q.Attr("public"), most), MaxPublic: number(q.Attr("maxpublic"), most),
		MasterCount: number(q.Attr("mastercount"), most), SlaveCount: number(q.Attr("slavecount"), most),
		RelayCount: number(q.Attr("relaycount"), most),
		Features:   features(c, q), Comments: comments(c, q), PublicID: address(q.Child(NS, "publicid").Text()),
	}
	out.MinThroughput, _ = ParseRate(q.Attr("minthroughput"))
	if secs, err := strconv.ParseInt(q.Attr("init"), 10, 64); err == nil && secs >= 0 && secs < 1<<40 {
		out.Init = time.Unix(secs, 0).UTC()
	}
	for _, jid := range peers(c, q) {
		out.Peers = append(out.Peers, jid)
	}
	return out
}

// peers are the <peer/> blocks that hold an address.
func peers(c *counter, q *stanza.Element) func(yield func(*stanza.Element, JID) bool) {
	return func(yield func(*stanza.Element, JID) bool) {
		for p := range q.Children() {
			if !p.Is(NS, "peer") {
				continue
			}
			if c.listed++; c.tooMuch() {
				return
			}
			if jid := address(p.Text()); jid != "" && !yield(p, jid) {
				return
			}
		}
	}
}

func comments(c *counter, q *stanza.Element) []*stanza.Element {
	var out []*stanza.Element
	for e := range q.Children() {
		if e.Is(NS, "comment") {
			c.comments++
			if len(out) == maxComments {
				c.comments = maxComments*maxQueries + 1
				return nil
			}
			out = append(out, e)
		}
	}
	return out
}

func features(c *counter, q *stanza.Element) []Feature {
	var out []Feature
	for e := range q.Children() {
		if e.Is(NS, "feature") {
			c.features++
			out = append(out, Feature{e.Attr("type"), e.Attr("version"), trim(e.Text())})
		}
	}
	return out
}

func trim(s string) string { return strings.TrimSpace(s) }

// address is the address in s, or "".
func address(s string) JID {
	if j := JID(trim(s)); j.valid() {
		return j
	}
	return ""
}

// key is the key in s, or "".
func key(s string) string {
	if s = trim(s); len(s) > maxKey || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
		return ""
	}
	return s
}

// host is a name or an address that a connection may be made to, or "".
func host(s string) string {
	if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r == '@' || r == 0x7F }) {
		return ""
	}
	return s
}

func port(s string) int { return number(s, 65535) }

// number is a number from 0 to limit; others, and what is none, are 0.
func number(s string, limit int) int {
	n, err := strconv.Atoi(trim(s))
	if err != nil || n < 0 || n > limit {
		return 0
	}
	return n
}

// millis is a time, or Unset.
func millis(s string) time.Duration {
	n, err := strconv.ParseInt(trim(s), 10, 64)
	if err != nil || n < 0 {
		return Unset
	}
	return time.Duration(min(n, maxMillis)) * time.Millisecond
}
