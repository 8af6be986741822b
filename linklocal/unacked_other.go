//go:build !linux

package linklocal

// unacked is how many bytes the peer's TCP has not acknowledged: that cannot
// be told here.
func unacked(uintptr) int { return -1 }
