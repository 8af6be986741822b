package dsps

import (
	"fmt"
	"strings"
)

// A step is what a line of a handshake asks for.
type step uint8

const (
	stepNone  step = iota // another line
	stepHTTP              // say that the request was understood
	stepTLS               // begin TLS
	stepHello             // the line is a first line: look for its pair
	stepKey               // the line is a key
)

const (
	maxHeaders    = 32
	maxHeaderSize = 8 << 10 // bytes of all headers
)

// A preamble is what a connection says before data flows: which of the
// handshakes it is, line by line.
type preamble struct {
	lines
	http    httpState
	headers int  // number
	size    int  // bytes of headers
	secret  bool // TLS was begun
	hello   bool // the first line was seen
}

// httpState is how far an HTTP request has come.
type httpState uint8

const (
	noHTTP httpState = iota
	inHeaders
	afterHTTP
)

// next takes the next line. An error ends the connection.
func (p *preamble) next() (step, string, error) {
	line, ok, err := p.lines.next()
	if err != nil || !ok {
		return stepNone, "", err
	}
	switch {
	case p.http == inHeaders:
		return p.header(line)
	case p.hello:
		return stepKey, line, nil
	case p.http == noHTTP && !p.secret && strings.HasPrefix(line, "GET "):
		p.http = inHeaders
		if line != "GET /DSPS/STREAM/ HTTP/1.0" && line != "GET /DSPS/STREAM/ HTTP/1.1" {
			return stepNone, "", fmt.Errorf("%w: another HTTP request", errWire)
		}
		return p.next()
	case line == startTLS && !p.secret:
		p.secret = true
		return stepTLS, "", nil
	default:
		p.hello = true
		return stepHello, line, nil
	}
}

// header takes a line of an HTTP request, up to the empty one.
func (p *preamble) header(line string) (step, string, error) {
	if line == "" {
		p.http = afterHTTP
		p.ends = unknown // what comes next may be written by somebody else
		return stepHTTP, "", nil
	}
	p.headers++
	p.size += len(line)
	name, value, ok := strings.Cut(line, ":")
	switch {
	case p.headers > maxHeaders || p.size > maxHeaderSize:
		return stepNone, "", fmt.Errorf("%w: too many HTTP headers", errWire)
	case !ok || !token(name):
		return stepNone, "", fmt.Errorf("%w: not an HTTP header", errWire)
	case strings.EqualFold(name, "Transfer-Encoding"), strings.EqualFold(name, "Content-Length") && trim(value) != "0":
		// What follows is the stream; whoever stands between must not think
		// that it is a body, with a request behind it.
		return stepNone, "", fmt.Errorf("%w: an HTTP request with a body", errWire)
	}
	return p.next()
}

// inHTTP reports whether an error is to be told as HTTP tells it.
func (p *preamble) inHTTP() bool { return p.http == inHeaders }

// token is RFC 9110 §5.6.2's, as far as names of headers go.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7F || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
