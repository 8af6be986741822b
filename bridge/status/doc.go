// Package status tells other programs on this machine how the gateway is
// doing: a unix socket that speaks HTTP and JSON, and the client for it.
//
//	GET /healthz        "ok", or 503 and why not
//	GET /status         a Report: version, both sides in words, all counters
//	GET /peers          a list of Peer, sorted by name
//	GET /peers?follow   a line of JSON, a list of Change, for everybody who is
//	                    there, and one whenever something has changed
//	GET /survey         what the XMPP server offers, asked now; the caller of
//	                    New knows its shape
//	GET /rooms          a list of Room
//	GET /ledger         a Ledger: how many messages came, wait and ended how
//	GET /trace?of=&n=   a list of Entry: the last n messages with that id, or of
//	                    that peer or contact
//	GET /queue?n=       a Waiting: what waits for the server
//	GET /queue/7        the XML of the stanza with that number, as a JSON string
//	POST /queue/7/drop  it is given up, and its sender told: true
//	POST /queue/7/retry it was set aside and is tried again: true; 0 is no
//	                    stanza, but has the session try now
//	POST /forget?name=  has the TLS key of that peer forgotten: true, or false
//	                    if there was none
//
// Whoever may open the socket may do all that. The package knows no other part
// of the gateway: it is handed functions.
package status
