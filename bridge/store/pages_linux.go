package store

import "syscall"

// letGo takes the pages of a mapped file out of the process's memory, and
// wants none in advance from now on. If the system does not, they stay.
func letGo(start, size uintptr) {
	for _, advice := range []uintptr{syscall.MADV_DONTNEED, syscall.MADV_RANDOM} {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, size, advice)
	}
}
