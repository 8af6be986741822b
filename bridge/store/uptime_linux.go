package store

import "syscall"

// uptime is how long ago the machine was started, in seconds, with the time that it was
// asleep; 0: that cannot be told.
func uptime() int64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Uptime)
}
