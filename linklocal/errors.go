package linklocal

import "errors"

// What Outgoing.Done and Publish say. Errors are wrapped: use errors.Is.
var (
	// ErrStopped: the Service has ended, or is about to.
	ErrStopped = errors.New("linklocal: stopped")
	// ErrQueueFull: too much waits for this peer, or for all of them.
	ErrQueueFull = errors.New("linklocal: queue full")
	// ErrNoPeer: nobody of that name is on the mesh.
	ErrNoPeer = errors.New("linklocal: no such peer")
	// ErrNoContact: we publish no such contact, or it has no presence name yet.
	ErrNoContact = errors.New("linklocal: no such contact")
	// ErrNotOpen: the stanza was OpenOnly and no stream is open.
	ErrNotOpen = errors.New("linklocal: no open stream")
	// ErrUnreachable: the peer is on the mesh but no stream to it could be
	// opened, or the streams broke before the stanza was written.
	ErrUnreachable = errors.New("linklocal: unreachable")
	// ErrInsecure: the peer's stream is not encrypted, or not under its key.
	ErrInsecure = errors.New("linklocal: no secure stream")
	// ErrSlow: the peer did not read what we wrote.
	ErrSlow = errors.New("linklocal: peer does not read")
	// ErrTooLarge: the stanza is larger than Config.MaxStanza.
	ErrTooLarge = errors.New("linklocal: stanza too large")
)
