// Package sdnotify tells the service manager how the process is doing, by the
// datagram protocol of sd_notify(3). Without a service manager all of it does
// nothing.
package sdnotify

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// maxStatus caps the bytes of a status line.
const maxStatus = 512

// A Notifier sends states to the service manager. The zero Notifier has none.
// Its methods are safe to call from any goroutine.
type Notifier struct {
	conn     *net.UnixConn // nil without a service manager
	watchdog time.Duration
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment
// of the process pid.
func New(getenv func(string) string, pid int) (*Notifier, error) {
	n := &Notifier{watchdog: watchdog(getenv, pid)}
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return n, nil
	}
	// A leading "@" is the kernel's abstract namespace; package net writes it
	// as the zero byte that it is. Other families (vsock:) are for containers.
	if name[0] != '/' && name[0] != '@' {
		return n, fmt.Errorf("sdnotify: NOTIFY_SOCKET %q is neither a path nor an abstract socket", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return n, fmt.Errorf("sdnotify: %w", err)
	}
	n.conn = conn
	return n, nil
}

// watchdog is the interval within which the service manager wants to hear of
// us; 0 if it does not.
func watchdog(getenv func(string) string, pid int) time.Duration {
	if p := getenv("WATCHDOG_PID"); p != "" && p != strconv.Itoa(pid) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Hour*24/time.Microsecond) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// Interval is how often Alive is to be called: half of what the service
// manager waits. 0: never.
func (n *Notifier) Interval() time.Duration { return n.watchdog / 2 }

// Ready says that the service is up.
func (n *Notifier) Ready() { n.send("READY=1") }

// Stopping says that the service is about to end.
func (n *Notifier) Stopping() { n.send("STOPPING=1") }

// Alive resets the service manager's watchdog.
func (n *Notifier) Alive() { n.send("WATCHDOG=1") }

// Status sets the line that "systemctl status" shows.
func (n *Notifier) Status(line string) {
	line = strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r < ' ' }), " ")
	if len(line) > maxStatus {
		line = strings.ToValidUTF8(line[:maxStatus], "")
	}
	n.send("STATUS=" + line)
}

// send is best effort, as sd_notify is: a service manager that does not
// listen must not harm the service.
func (n *Notifier) send(state string) {
	if n.conn != nil {
		_, _ = n.conn.Write([]byte(state))
	}
}

// Close releases the socket.
func (n *Notifier) Close() error {
	if n.conn == nil {
		return nil
	}
	return n.conn.Close()
}
