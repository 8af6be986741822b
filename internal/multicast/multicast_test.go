package multicast

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestSendErrorsAreClassified(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENETUNREACH: "unreachable", syscall.EPERM: "filtered", syscall.EMSGSIZE: "too large",
		syscall.ENETDOWN: "link down", net.ErrClosed: "closed", errors.ErrUnsupported: "other",
	} {
		if got := Reason(&net.OpError{Op: "write", Err: err}); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
