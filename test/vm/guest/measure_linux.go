package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/clock"
	"stepaway/test/vm/wire"
)

// slept waits until time since boot has run ahead of time awake.
func slept() wire.Slept {
	before := clock.Now()
	for ahead := before - awake(); ; time.Sleep(20 * time.Millisecond) {
		now := clock.Now()
		if now-awake() > ahead+time.Second/2 {
			return wire.Slept{From: before.Milliseconds(), To: now.Milliseconds()}
		}
		before = now
	}
}

// awake is the time since boot without sleep.
func awake() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// costs of every process whose executable has one of the names.
func costs(names []string) (list []wire.Cost) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		if name := filepath.Base(exe); err == nil && slices.Contains(names, name) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			c := wire.Cost{Name: name, PID: pid, RSSKB: field(dir, "VmRSS:")}
			tasks, _ := filepath.Glob(dir + "/task/*")
			for _, task := range tasks {
				c.Switches += field(task, "voluntary_ctxt_switches:") + field(task, "nonvoluntary_ctxt_switches:")
				var ns int64
				b, _ := os.ReadFile(task + "/schedstat")
				_, _ = fmt.Sscan(string(b), &ns)
				c.CPUNS += ns
			}
			list = append(list, c)
		}
	}
	return list
}

// field reads one number from a status file of /proc, 0 where it is not there.
func field(dir, name string) int64 {
	b, _ := os.ReadFile(dir + "/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
