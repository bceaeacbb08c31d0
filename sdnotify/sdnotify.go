// Package sdnotify tells the service manager how the program is: the few bytes of sd_notify(3).
//
// Failure rules: without a service manager nothing is sent and nothing fails. No program waits for it.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Ready says that the program has started.
const Ready = "READY=1"

// Stopping says that the program is about to end.
const Stopping = "STOPPING=1"

// Send sends one state, and reports whether a service manager wanted it.
func Send(state string) (sent bool, err error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return false, nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return false, fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return false, fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	if _, err := c.Write([]byte(state)); err != nil {
		return false, fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return true, nil
}

// Watchdog is how long the service manager waits for a sign of life, or 0 if it does not watch. Half of it is when one is due.
func Watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 62)
	if err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}
