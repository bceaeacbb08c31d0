package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/clock"
	"stepaway/test/vm/wire"
)

// slept runs a program and waits until time since boot has run ahead of time awake.
func slept(program []string) wire.Slept {
	before := clock.Now()
	ahead := before - awake()
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stderr = os.Stderr
	_ = cmd.Start() // if it does not sleep, the test waits in vain
	for ; ; time.Sleep(20 * time.Millisecond) {
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

// costs is what every process whose executable has one of the names takes in a while.
func costs(span time.Duration, names []string) (list []wire.Cost) {
	before := tasks(names)
	time.Sleep(span)
	all := map[int]*wire.Cost{}
	for id, now := range tasks(names) {
		c := all[now.PID]
		if c == nil {
			c = &wire.Cost{Name: now.Name, PID: now.PID, RSSKB: now.RSSKB}
			all[now.PID] = c
		}
		c.Switches += now.Switches - before[id].Switches // a thread that began meanwhile had none
		c.CPUNS += now.CPUNS - before[id].CPUNS
	}
	for _, c := range all {
		list = append(list, *c)
	}
	return list
}

// tasks are the threads of these processes by number, each with its process and what it has taken so far.
func tasks(names []string) map[int]wire.Cost {
	all := map[int]wire.Cost{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		name := filepath.Base(exe)
		if err != nil || !slices.Contains(names, name) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		threads, _ := filepath.Glob(dir + "/task/*")
		for _, thread := range threads {
			c := wire.Cost{Name: name, PID: pid, RSSKB: field(dir, "VmRSS:"),
				Switches: field(thread, "voluntary_ctxt_switches:") + field(thread, "nonvoluntary_ctxt_switches:")}
			b, _ := os.ReadFile(thread + "/schedstat")
			_, _ = fmt.Sscan(string(b), &c.CPUNS)
			id, _ := strconv.Atoi(filepath.Base(thread))
			all[id] = c
		}
	}
	return all
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
