package xmppc2s

import (
	"fmt"
	"strings"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A streamRule says what an error that ends a stream means to us. The session
// is kept in any case, unless forget says otherwise: to ask for it costs
// nothing, and a server that has lost it may still say how far it came.
type streamRule struct {
	words   string // for the person who runs the gateway; %s is the domain
	problem Problem
	loss    sm.Loss // whether it speaks of what we have sent
	pace    pace
	forget  bool // the session is not asked for again
	reset   bool // TLS has to begin from nothing
	flood   bool // it speaks of what the server has sent, and we have not acknowledged …
	limit   bool // … or it may
}

const wordsXML = "the server cannot make sense of what it was sent"

// streamRules are the conditions of RFC 6120 §4.9.3, and of RFC 3920 §4.7.3
// that one that the newer text has dropped.
var streamRules = map[string]streamRule{
	"bad-format":              {words: wordsXML, loss: sm.Refusal},
	"bad-namespace-prefix":    {words: wordsXML, loss: sm.Refusal},
	"invalid-namespace":       {words: wordsXML, loss: sm.Refusal},
	"invalid-xml":             {words: wordsXML, loss: sm.Refusal},
	"not-well-formed":         {words: wordsXML, loss: sm.Refusal},
	"restricted-xml":          {words: wordsXML, loss: sm.Refusal},
	"unsupported-encoding":    {words: wordsXML, loss: sm.Refusal},
	"unsupported-stanza-type": {words: wordsXML, loss: sm.Refusal},
	"improper-addressing":     {words: "the server does not accept an address in what it was sent", loss: sm.Refusal},
	"invalid-from":            {words: "the server does not accept an address in what it was sent", loss: sm.Refusal},
	"invalid-id":              {words: "the server has mixed up its streams", loss: sm.Ended},
	"policy-violation":        {words: "the server says that a rule of its own was broken", loss: sm.Refusal, pace: slow, limit: true},
	"internal-server-error":   {words: "the server has an internal error", loss: sm.Refusal, pace: slow},
	"undefined-condition":     {words: "the server has ended the stream", loss: sm.Refusal},

	// "a new stream has been initiated that conflicts with the existing stream"
	// RFC 6120 §4.9.3.3: whoever comes back at once throws the other one out, who
	// does the same.
	"conflict": {problem: Conflict, loss: sm.Ended, pace: held},

	"host-gone":           {words: "the server does not serve %s any more", problem: NotServed, loss: sm.Ended, pace: held},
	"host-unknown":        {words: "the server does not serve %s", problem: NotServed, loss: sm.Ended, pace: held},
	"unsupported-version": {words: "the server speaks a version of XMPP that the gateway does not", problem: Incompatible, loss: sm.Ended, pace: held},
	"unsupported-feature": {words: "the server speaks a version of XMPP that the gateway does not", problem: Incompatible, loss: sm.Ended, pace: held},

	// The login is not the matter: that is refused with an error of SASL, and
	// only then it is known to be wrong.
	"not-authorized":           {words: "the server takes the login back", loss: sm.Ended, pace: slow},
	"remote-connection-failed": {words: "the server does not reach another one that it needs to log us in", loss: sm.Ended, pace: slow},
	"resource-constraint":      {words: "the server has too much to do", loss: sm.Ended, pace: slow, limit: true},

	"connection-timeout": {words: "the server has heard nothing for too long", loss: sm.Ended},
	"see-other-host":     {words: "the server is elsewhere", loss: sm.Ended},
	"system-shutdown":    {words: "the server is shutting down", loss: sm.Ended, pace: soon},
	// "encryption and authentication need to be negotiated again for the new
	// stream (e.g., TLS session resumption cannot be used)" RFC 6120 §4.9.3.16
	"reset": {words: "the server wants to begin anew", loss: sm.Ended, reset: true},
}

// conditionTooHigh is the application's condition of an h above what was sent
// (XEP-0198 §6): we have lost count, and the session cannot go on.
const conditionTooHigh = "handled-count-too-high"

// textUnacked is how a server says that it is we who have not acknowledged
// enough: nothing that we have sent is to blame.
//
// COMPAT ejabberd 23.01: policy-violation, and only this text, when a burst for
// us is longer than max_ack_queue. It is English unless its configuration names
// another language.
const textUnacked = "unacked stanzas"

// ruleOf is the rule of a condition. An unknown one says as much as
// undefined-condition.
func ruleOf(condition string) streamRule {
	if r, ok := streamRules[condition]; ok {
		return r
	}
	r := streamRules["undefined-condition"]
	r.words += ": " + condition
	return r
}

// A streamError is a <stream:error/> as it came.
type streamError struct {
	condition string
	text      string // beside it
	elsewhere string // of see-other-host, unchecked
	tooHigh   bool
}

// parseStreamError reads a <stream:error/>.
func parseStreamError(el *stanza.Element, cfg *Config) *Error {
	e := streamError{condition: "undefined-condition"}
	for c := range el.Children() {
		switch {
		case c.Is(stanza.NSStErr, "text"):
			e.text = c.Text()
		case c.Name.Space == stanza.NSStErr:
			e.condition, e.elsewhere = c.Name.Local, c.Text()
		case c.Name.Local == conditionTooHigh:
			e.tooHigh = true
		}
	}
	return e.problem(cfg)
}

// problem words a stream error.
func (s streamError) problem(cfg *Config) *Error {
	r := ruleOf(s.condition)
	e := &Error{Problem: r.problem, Condition: s.condition, rule: &r, Text: strings.ReplaceAll(r.words, "%s", cfg.JID.Domain().String())}
	if r.problem == Trouble {
		e.Problem = StreamEnded
	}
	switch {
	case s.condition == "conflict":
		e.Text = fmt.Sprintf("another client, or another meshgate, has logged in as %s/%s: give each a resource of its own", cfg.JID.Bare(), cfg.resource())
	case s.condition == "see-other-host":
		e.elsewhere = strings.TrimSpace(s.elsewhere)
		e.Text = fmt.Sprintf("the server sends us to %.*q", maxRedirectLen, e.elsewhere)
	case r.limit && strings.Contains(s.text, textUnacked):
		r.loss, r.pace, r.flood = sm.Ended, usual, true
	case s.tooHigh:
		r.loss, r.forget = sm.Ended, true
		e.Text = "the server has counted other stanzas than the gateway"
	}
	if text := strings.TrimSpace(s.text); text != "" {
		e.Text += " (" + text + ")"
	}
	return e
}

// resetsTLS reports whether the next connection must not go on where TLS was.
func (e *Error) resetsTLS() bool { return e.rule != nil && e.rule.reset }
