//go:build !linux

package store

// uptime is 0: how long ago the machine was started cannot be told.
func uptime() int64 { return 0 }
