package xmppc2s

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// SM-13: WriteTimeout is for a server that takes nothing, not for one that
// takes its time.
func TestASlowReaderIsNotADeadOne(t *testing.T) {
	for name, tc := range map[string]struct {
		pieces int // that the server takes, one in 15 s
		want   error
	}{"slow": {8, nil}, "dead": {3, os.ErrDeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				tr := newTransport(&link{conn: newByteConn(ours), raw: ours}, &Config{WriteTimeout: 20 * time.Second})
				defer tr.close()
				defer theirs.Close()
				begin := time.Now()
				go func() {
					for range tc.pieces {
						time.Sleep(15 * time.Second) // in virtual time
						_, _ = io.CopyN(io.Discard, theirs, maxPiece)
					}
				}()
				tr.send(make([]byte, 8*maxPiece))
				err := <-tr.wrote
				limit := time.Duration(tc.pieces)*15*time.Second + 20*time.Second
				if took := time.Since(begin); !errors.Is(err, tc.want) || took > limit {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
