package xmppc2s_test

import (
	"testing"

	"go.uber.org/goleak"

	"meshgate/internal/e2e"
)

func TestMain(m *testing.M) {
	e2e.WorkInParallel() // real servers, and the pauses of the client
	goleak.VerifyTestMain(m)
}
