//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cost is what one program took in one stretch of time.
type cost struct {
	Name     string  `json:"name"`
	Phase    string  `json:"phase"`         // idle, or input ten times a second
	RSSKB    int64   `json:"rss_kb"`        // resident at the end
	Switches float64 `json:"switches_min"`  // context switches a minute, wanted and not
	CPUMS    float64 `json:"cpu_ms_minute"` // milliseconds on a processor, a minute
	Error    string  `json:"error,omitempty"`
}

// reading is what the kernel has counted for one process so far.
type reading struct {
	switches int64
	cpuNS    int64
}

// read sums what the kernel counts for the threads of a process.
func read(pid int) (r reading, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return reading{}, fmt.Errorf("process %d is gone", pid)
	}
	for _, task := range tasks {
		r.switches += field(task, "voluntary_ctxt_switches:") + field(task, "nonvoluntary_ctxt_switches:")
		b, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // the thread has just ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		r.cpuNS += n
	}
	return r, nil
}

// field reads one number from a status file of /proc, 0 where it is not there.
func field(dir, name string) int64 {
	b, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// resident memory of a process in kB.
func resident(pid int) int64 { return field(fmt.Sprintf("/proc/%d", pid), "VmRSS:") }
