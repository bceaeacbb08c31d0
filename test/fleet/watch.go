//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// watch looks at a collector's process, and at its database, while a scenario is played.
type watch struct {
	v      *serving
	s      *site
	before figures
	quit   chan struct{}
	seen   chan peaks
}

// peaks are the most that was seen.
type peaks struct{ files, resident int }

// watch begins to look at a process.
func (v *serving) watch(s *site) *watch {
	w := &watch{v: v, s: s, quit: make(chan struct{}), seen: make(chan peaks)}
	_ = os.WriteFile(v.proc("clear_refs"), []byte("5"), 0o644) // the peak counts from here
	w.before = w.used()
	w.before.IdleKB = v.status("VmRSS:")
	go w.look(v.files())
	return w
}

func (v *serving) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", v.PID(), name) }

// look samples how many files are open, beyond those at first: each connection is one.
func (w *watch) look(first int) {
	var p peaks
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		p.files = max(p.files, w.v.files()-first)
		p.resident = max(p.resident, w.v.status("VmHWM:"))
		select {
		case <-w.quit:
			w.seen <- p
			return
		case <-tick.C:
		}
	}
}

func (v *serving) files() int {
	d, err := os.Open(v.proc("fd"))
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return len(names)
}

// status reads one number from what the kernel says of the process: kB.
func (v *serving) status(name string) int {
	body, _ := os.ReadFile(v.proc("status"))
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// used is the time on processors so far.
func (w *watch) used() (f figures) {
	f.CPU = processor(w.v.PID(), false)
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		f.FleetCPU = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	if w.s.kind == "postgres" {
		body, _ := os.ReadFile(filepath.Join(w.s.server.Dir(), "data", "postmaster.pid"))
		first, _, _ := bytes.Cut(body, []byte("\n"))
		if pid, err := strconv.Atoi(string(first)); err == nil {
			f.StoreCPU = processor(pid, true)
		}
	}
	return f
}

// processor is the time in seconds that a process has had, perhaps with its children.
func processor(pid int, children bool) (seconds float64) {
	const ticks = 100
	fields := statOf(pid)
	last := 13
	if children {
		last = 15
		all, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range all {
			child, _ := strconv.Atoi(filepath.Base(dir))
			if f := statOf(child); len(f) > 3 && f[3] == strconv.Itoa(pid) {
				seconds += processor(child, false)
			}
		}
	}
	if len(fields) < 17 {
		return seconds
	}
	for i := 13; i <= last+1; i++ { // utime, stime, cutime, cstime
		n, _ := strconv.ParseFloat(fields[i], 64)
		seconds += n / ticks
	}
	return seconds
}

// statOf is /proc/PID/stat, from 0 on, with the name of the program taken as one word.
func statOf(pid int) []string {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(body, ')')
	if err != nil || end < 0 {
		return nil
	}
	return append([]string{strconv.Itoa(pid), "()"}, strings.Fields(string(body[end+1:]))...)
}

// end answers f with what was seen.
func (w *watch) end(f figures) figures {
	close(w.quit)
	p := <-w.seen
	after := w.used()
	f.IdleKB, f.PeakKB, f.Connections = w.before.IdleKB, p.resident, p.files
	if p.files > 0 {
		f.ConnectionKB = float64(p.resident-w.before.IdleKB) / float64(p.files)
	}
	f.CPU, f.StoreCPU, f.FleetCPU = after.CPU-w.before.CPU, after.StoreCPU-w.before.StoreCPU, after.FleetCPU-w.before.FleetCPU
	if f.Seconds > 0 {
		f.Rate = float64(f.Events) / f.Seconds
	}
	return f
}
