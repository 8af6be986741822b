package xmppc2s

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"mellium.im/xmpp/stream"

	"meshgate/internal/stanza"
	"meshgate/xmppc2s/sm"
)

// A Problem says what kind of thing went wrong.
type Problem uint8

const (
	Trouble      Problem = iota // anything that may pass
	WrongLogin                  // the server refuses user and password
	Disabled                    // the account is disabled, or its password has expired
	NoEncryption                // the server offers no TLS
	NoMechanism                 // no way to log in that we may use
	Untrusted                   // the certificate is not the server's, as far as we can tell
	UnknownHost                 // DNS does not know the name
	Unreachable                 // nobody answers there
	NotServed                   // the server does not serve the domain
	Conflict                    // another client has taken our place
	StreamEnded                 // the server has ended the stream
	Incompatible                // the server speaks another XMPP
)

var problemNames = [...]string{
	"trouble", "wrong login", "account disabled", "no encryption", "no mechanism", "untrusted certificate",
	"unknown host", "unreachable", "domain not served", "conflict", "stream ended", "incompatible",
}

func (p Problem) String() string { return problemNames[p] }

// fatal reports whether trying again is of no use until a person has acted.
func (p Problem) fatal() bool {
	switch p {
	case WrongLogin, Disabled, NoEncryption, NoMechanism, Untrusted, NotServed, Conflict, Incompatible:
		return true
	}
	return false
}

// An Error is what kept the client from its server, or ended a connection, in
// words for the person who runs the gateway.
type Error struct {
	Problem   Problem
	Text      string
	Condition string // of the stream error or the SASL failure, if it was one
	Err       error  // the cause, if there is more to know

	rule      *streamRule // of a stream error
	elsewhere string      // where see-other-host sends us, unchecked
}

func (e *Error) Error() string { return "xmppc2s: " + e.Text }
func (e *Error) Unwrap() error { return e.Err }

// Errors of Send and in Undelivered.
var (
	ErrQueueFull = errors.New("xmppc2s: too much is waiting for the server")
	ErrStopped   = errors.New("xmppc2s: the client has stopped")
	ErrNoRoom    = errors.New("xmppc2s: the disk takes nothing")
	ErrExpired   = errors.New("xmppc2s: the server could not be reached for too long")
	ErrDeadly    = sm.ErrDeadly // the server ends the stream over it: it is set aside, see RetryQueued
	ErrTooLarge  = sm.ErrTooLarge
	ErrNotStanza = errors.New("xmppc2s: not a stanza")
)

// Fatal reports whether err will stay until a person has mended something.
func Fatal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Problem.fatal()
}

// explain makes an *Error of whatever happened on the way to a session at
// addr. It is the one place where errors of other packages are classified.
func explain(err error, cfg *Config, addr string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[stream.Error](err); ok {
		s := streamError{condition: e.Err, elsewhere: e.Content}
		if len(e.Text) > 0 {
			s.text = e.Text[0].Value
		}
		return s.problem(cfg)
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificateProblem(e, cfg, addr)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return &Error{Problem: UnknownHost, Text: fmt.Sprintf("DNS does not know the server %s", e.Name), Err: err}
	}
	if p := saslProblem(err, cfg); p != nil {
		return p
	}
	return connectionProblem(err, addr)
}

// paceOf is how fast to go on after err.
func paceOf(err error) pace {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return usual
	case e.Problem.fatal():
		return held
	case e.rule != nil:
		return e.rule.pace
	}
	return usual
}

func connectionProblem(err error, addr string) *Error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Problem: Unreachable, Text: fmt.Sprintf("no XMPP server answers at %s (connection refused)", addr), Err: err}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &Error{Problem: Unreachable, Text: fmt.Sprintf("the server at %s does not answer in time", addr), Err: err}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return &Error{Text: fmt.Sprintf("the connection to %s broke", addr), Err: err}
	}
	return &Error{Text: fmt.Sprintf("connection to %s: %v", addr, err), Err: err}
}

// certificateProblem says what is wrong with a certificate and what to do.
func certificateProblem(err *tls.CertificateVerificationError, cfg *Config, addr string) *Error {
	domain := cfg.JID.Domain().String()
	var why string
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		why = fmt.Sprintf("it is not for %s (%v)", domain, e)
	} else if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		why = "it has expired or is not valid yet: look at its dates and at this machine's clock"
	} else if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		why = "no authority that this machine trusts has issued it: name its authority in ca_file, or pin its key"
	} else {
		why = err.Err.Error()
	}
	return &Error{Problem: Untrusted, Text: fmt.Sprintf("the certificate of %s is not trusted: %s", addr, why), Err: err}
}

// saslProblem finds out whether err is a SASL failure. The library's type has
// no name outside of it, and its text is the server's, so the condition is
// read from its XML (RFC 6120 §6.5).
func saslProblem(err error, cfg *Config) *Error {
	for ; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(xml.Marshaler); !ok {
			continue
		}
		b, merr := xml.Marshal(err)
		if merr != nil {
			return nil
		}
		el, perr := stanza.Parse(b, stanza.NSSASL, stanza.Limits{})
		if perr == nil && el.Name.Local == "failure" {
			return loginProblem(el, cfg, err)
		}
	}
	return nil
}

func loginProblem(failure *stanza.Element, cfg *Config, err error) *Error {
	var condition string
	for c := range failure.Children() {
		if c.Name.Local != "text" {
			condition = c.Name.Local
		}
	}
	user := cfg.JID.Bare().String()
	switch condition {
	case "not-authorized", "invalid-authzid":
		return &Error{Problem: WrongLogin, Condition: condition, Err: err,
			Text: fmt.Sprintf("the server refuses user %s: wrong password or unknown account", user)}
	case "account-disabled", "credentials-expired":
		return &Error{Problem: Disabled, Condition: condition, Err: err,
			Text: fmt.Sprintf("the server refuses user %s: the account is disabled or its password has expired (%v)", user, err)}
	case "encryption-required", "mechanism-too-weak", "invalid-mechanism":
		return &Error{Problem: NoMechanism, Condition: condition, Err: err,
			Text: fmt.Sprintf("the server does not accept the way %s logs in (%v)", user, err)}
	}
	return &Error{Condition: condition, Err: err, Text: fmt.Sprintf("the server cannot log %s in at the moment (%v)", user, err)}
}
