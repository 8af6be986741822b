// Package linklocal implements XEP-0174: Serverless Messaging, both as it
// stood in v0.9 and in v2.0.1: it is present on a LAN's mesh under any number
// of presence names, knows who else is there, and carries XML streams between
// its contacts and those peers.
package linklocal
