package multicast

import (
	"errors"
	"net"
	"syscall"
)

// Reason classifies what can go wrong with a datagram, for logs. In all cases it
// is lost and nothing else.
func Reason(err error) string {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "link down"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return "filtered"
	case errors.Is(err, syscall.EMSGSIZE):
		return "too large"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.EAGAIN):
		return "no buffers"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return "other"
}
