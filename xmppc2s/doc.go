// Package xmppc2s is the gateway's own XMPP client session (RFC 6120, RFC 6121):
// it connects, authenticates, keeps the session alive across broken
// connections (XEP-0198: Stream Management), knows the contacts' presence, and
// carries stanzas in both directions.
package xmppc2s
