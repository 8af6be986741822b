package mdns

import (
	"time"

	"github.com/miekg/dns"
)

// What the questions of others tell: RFC 6762 §7.3 and §10.5.

const (
	heardWindow = time.Second      // a question of another counts as ours for so long
	answerTime  = 10 * time.Second // "no response … within ten seconds", §10.5
	expectedIn  = 2                // questions of others, "two or more", §10.5
	doubtWait   = time.Second      // before we ask ourselves
	doubtGap    = 1500 * time.Millisecond
	doubtAsks   = 6 // so that one who is there is heard of, even with 30 % loss each way
)

// hear takes what another asked everybody.
func (m *monitor) hear(now time.Time, q *message) {
	if m.stopped || q.truncated || len(q.authority) > 0 {
		return // what is known follows later; or a probe, which is no question
	}
	for i := range q.questions {
		qu := &q.questions[i]
		if qu.unicast {
			continue
		}
		if set := m.cache.set(qu.key, qu.typ); len(set) > 0 {
			m.hearRecords(now, set, q.answers)
		}
		if qu.typ == dns.TypePTR {
			m.hearBrowse(now, qu.key, q.answers)
		}
	}
}

// hearBrowse notes that a standing question of ours has been asked.
//
// "If a host is planning to transmit (or retransmit) a query, and it sees
// another host on the network send a query containing the same "QM" question,
// and the Known-Answer Section of that query does not contain any records that
// this host would not also put in its own Known-Answer Section for that same
// question, then this host SHOULD treat its own query as having been sent",
// RFC 6762 §7.3.
func (m *monitor) hearBrowse(now time.Time, key name, known []record) {
	for _, b := range m.browses {
		if b.key == key && m.knowAll(now, known) {
			b.heard = now
		}
	}
}

// knowAll: of what the asker knows we lack nothing. Our own names we do not
// look for.
func (m *monitor) knowAll(now time.Time, known []record) bool {
	for i := range known {
		if r := m.cache.recs[known[i].ident]; (r == nil || !r.fresh(now)) && m.e.owner(known[i].ident.target) == nil {
			return false
		}
	}
	return true
}

// hearRecords notes that records of ours should be heard of now.
//
// "After seeing two or more of these queries, and seeing no multicast response
// containing the expected answer within ten seconds, then even though its TTL
// may indicate that it is not yet due to expire, that record SHOULD be flushed
// from the cache", RFC 6762 §10.5. Answers get lost: meanwhile we ask, too.
func (m *monitor) hearRecords(now time.Time, set []*cached, known []record) {
	m.question++
	for i := range known {
		if r := m.cache.recs[known[i].ident]; r != nil {
			r.knownIn = m.question
		}
	}
	for _, r := range set {
		if r.dying || now.Sub(r.at) < recordInterval || r.knownIn == m.question {
			continue
		}
		r.heard = now
		if r.expected++; r.expected >= expectedIn {
			m.doubt(now, r)
		}
	}
}

// doubt lets a record expire soon unless it is heard again, and asks for it.
func (m *monitor) doubt(now time.Time, r *cached) {
	if r.doubted || r.dying {
		return
	}
	if end := now.Add(answerTime); end.Before(r.expires) {
		r.expires = end
	}
	r.doubted, r.asked, r.refresh = true, refreshCount-doubtAsks, now.Add(doubtWait)
	m.wake.at(r.refresh)
	m.wake.at(r.expires)
}

// doubtInstance is for one that did not answer: "the client … indication that
// the data may be stale" (in substance), RFC 6762 §10.4.
func (m *monitor) doubtInstance(now time.Time, inst *instance) {
	for _, typ := range []uint16{dns.TypeSRV, dns.TypeA, dns.TypeAAAA} {
		key := inst.key
		if typ != dns.TypeSRV {
			key = inst.host
		}
		for _, r := range m.cache.set(key, typ) {
			m.doubt(now, r)
		}
	}
}
