package dsps

import (
	"strconv"
	"time"

	"meshgate/internal/stanza"
)

// query is a <query/> of this type; what is nil in parts is left out.
func query(typ string, parts ...stanza.Part) *stanza.Element {
	return stanza.New(NS, "query", append([]stanza.Part{stanza.Attr{Name: "type", Value: typ}}, parts...)...)
}

func attr(name, value string) stanza.Part { return stanza.Attr{Name: name, Value: value} }

func count(name string, n int) stanza.Part { return attr(name, strconv.Itoa(n)) }

// known is a number that is left out if it is 0.
func known(name string, n int) stanza.Part {
	if n == 0 {
		return attr(name, "")
	}
	return count(name, n)
}

func span(name string, d time.Duration) stanza.Part {
	if d < 0 {
		return attr(name, "")
	}
	return attr(name, strconv.FormatInt(d.Milliseconds(), 10))
}

func peer(jid JID, attrs ...stanza.Part) stanza.Part {
	return stanza.New(NS, "peer", append(attrs, stanza.Text(jid))...)
}

// elements are elements as parts.
func elements(parts []stanza.Part, els []*stanza.Element) []stanza.Part {
	for _, e := range els {
		parts = append(parts, e)
	}
	return parts
}

func featureParts(parts []stanza.Part, features []Feature) []stanza.Part {
	for _, f := range features {
		parts = append(parts, stanza.New(NS, "feature", attr("type", f.Type), attr("version", f.Version), stanza.Text(f.Data)))
	}
	return parts
}

func (q Create) element() *stanza.Element {
	parts := []stanza.Part{attr("minthroughput", ""), known("maxpublic", q.MaxPublic)}
	if q.MinThroughput > 0 {
		parts[0] = attr("minthroughput", q.MinThroughput.String())
	}
	for _, d := range q.Dests {
		parts = append(parts, peer(d.JID, known("port", d.Port), attr("host", d.Host)))
	}
	return query("create", elements(parts, q.Comments)...)
}

func (q Prepared) element() *stanza.Element {
	return query("create", featureParts([]stanza.Part{
		span("wait", q.Wait), attr("host", q.Host), known("port", q.Port),
		attr("minthroughput", q.MinThroughput.String()), attr("protocol", q.Protocol),
	}, q.Features)...)
}

func (q RelayKey) element() *stanza.Element { return query("create", stanza.Text(q.Key)) }

func (q Auth) element() *stanza.Element { return query("auth", stanza.Text(q.Key)) }

func (q Presence) element() *stanza.Element { return presenceList("presence", "status", q.Peers) }

func (q Report) element() *stanza.Element { return presenceList("admin", "acknowledge", q.Peers) }

func presenceList(typ, name string, peers []PeerPresence) *stanza.Element {
	var parts []stanza.Part
	for _, p := range peers {
		parts = append(parts, peer(p.JID, attr(name, string(p.Status))))
	}
	return query(typ, parts...)
}

func (q Admin) element() *stanza.Element {
	parts := elements([]stanza.Part{span("expire", q.Expire), span("wait", q.Wait)}, q.Comments)
	for _, p := range q.Peers {
		what := string(p.Right)
		if what == "" {
			what = string(Drop)
		}
		parts = append(parts, peer(p.JID, attr("type", what)))
	}
	return query("admin", parts...)
}

func (q Invitation) element() *stanza.Element {
	parts := []stanza.Part{attr("status", string(q.Right)), span("expire", q.Expire)}
	for _, jid := range q.Peers {
		parts = append(parts, peer(jid))
	}
	return query("acknowledge", elements(parts, q.Comments)...)
}

func (q Dropped) element() *stanza.Element {
	return query("acknowledge", elements([]stanza.Part{attr("status", string(Drop))}, q.Comments)...)
}

func (q Answer) element() *stanza.Element {
	if q.Accept {
		return query("acknowledge", attr("status", string(Connect)))
	}
	return query("acknowledge", attr("status", string(Drop)))
}

func (Who) element() *stanza.Element { return query("who") }

func (q WhoList) element() *stanza.Element {
	var parts []stanza.Part
	for _, p := range q.Peers {
		parts = append(parts, peer(p.JID, attr("type", string(p.Right)), attr("id", p.ID),
			attr("status", string(p.Status)), attr("throughput", p.Throughput.String())))
	}
	return query("who", parts...)
}

func (Stats) element() *stanza.Element { return query("stats") }

func (q StreamStats) element() *stanza.Element {
	parts := featureParts([]stanza.Part{
		attr("init", strconv.FormatInt(q.Init.Unix(), 10)), attr("protocol", q.Protocol), count("port", q.Port),
		attr("minthroughput", q.MinThroughput.String()),
		span("expiredefault", q.ExpireDefault), span("waitdefault", q.WaitDefault), span("wait", q.Wait),
		count("public", q.Public), count("maxpublic", q.MaxPublic), count("mastercount", q.MasterCount),
		count("slavecount", q.SlaveCount), count("relaycount", q.RelayCount),
	}, q.Features)
	for _, jid := range q.Peers {
		parts = append(parts, peer(jid))
	}
	if q.PublicID != "" {
		parts = append(parts, stanza.New(NS, "publicid", stanza.Text(q.PublicID)))
	}
	return query("stats", elements(parts, q.Comments)...)
}
