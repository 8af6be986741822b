package clique

import "errors"

// Errors of a Service's methods, and of what it tells a done.
var (
	ErrStopped   = errors.New("clique: stopped")
	ErrQueueFull = errors.New("clique: too much waits to be sent")
	ErrNoRoom    = errors.New("clique: not in that room")
	ErrNotYet    = errors.New("clique: the room is not found yet")
	ErrJoined    = errors.New("clique: told to be in that room already")
	ErrTooMany   = errors.New("clique: too many rooms")
	ErrTooLarge  = errors.New("clique: larger than what is sent")
	ErrStream    = errors.New("clique: not a stream that we have opened")
	errTube      = errors.New("clique: a tube needs a service, and an id from 1 to 2147483647")
	errMessage   = errors.New("clique: only messages are sent in rooms")
	errIPv6      = errors.New("clique: rooms with IPv6 addresses are not wanted here")
	errName      = errors.New("clique: a presence name has 1 to 254 bytes of text")
)
