package e2e

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a set of Linux namespaces held by open files, so that it can
// be entered as long as it is open, whatever became of its processes.
type namespace struct {
	files []*os.File
	flags []int
	mount bool // includes a mount namespace
}

// openNamespace opens the namespaces of a process: any of net, uts, mnt, pid.
func openNamespace(pid int, kinds ...string) (*namespace, error) {
	flagOf := map[string]int{"net": unix.CLONE_NEWNET, "uts": unix.CLONE_NEWUTS, "mnt": unix.CLONE_NEWNS, "pid": unix.CLONE_NEWPID}
	ns := &namespace{}
	for _, kind := range kinds {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			ns.close()
			return nil, err
		}
		ns.files = append(ns.files, f)
		ns.flags = append(ns.flags, flagOf[kind])
		ns.mount = ns.mount || kind == "mnt"
	}
	return ns, nil
}

func (ns *namespace) close() {
	for _, f := range ns.files {
		f.Close()
	}
}

// do runs f inside the namespaces and returns its error. A socket that f
// opens, and a process that it starts, stay inside. f must not hand its work
// to other goroutines.
func (ns *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := ns.enter(); err != nil {
			return err
		}
		return f()
	})
}

// onThread runs f on an operating system thread of its own, which is thrown
// away afterwards: nothing that f does to its thread can reach other
// goroutines.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end, and /proc/self is its view of the
			// machine: leave it alone. While it waits here, others get f.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// enter moves the calling thread. setns(2): a thread that shares its root and
// working directory with others cannot change its mount namespace.
func (ns *namespace) enter() error {
	if ns.mount {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
	}
	for i, f := range ns.files {
		if err := unix.Setns(int(f.Fd()), ns.flags[i]); err != nil {
			return fmt.Errorf("setns %s: %w", f.Name(), err)
		}
	}
	return nil
}
