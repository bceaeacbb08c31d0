package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is what the kernel says of one process.
type Process struct {
	PID   int
	UID   uint32        // real user id
	State byte          // R, S, D, T (stopped), t (traced), Z (ended, not yet reaped), X
	Start time.Duration // since boot, sleep counted
	Exe   string        // canonical path of the executable; "" for another user's without root
	Gone  bool          // the executable is no longer under that path: removed or replaced
	Group string        // control group, with leading slash

	failed bool // of one that ended: not well; false also where that is not known
}

// Alive reports whether the process can still do anything; a stopped one can be continued.
func (p Process) Alive() bool { return p.State != 'Z' && p.State != 'X' && p.State != 0 }

// Running reports whether the process is alive and not held by a signal or a debugger.
func (p Process) Running() bool { return p.Alive() && p.State != 'T' && p.State != 't' }

// Same reports whether p and q are one process that did not change its owner or executable meanwhile.
func (p Process) Same(q Process) bool {
	return p.PID == q.PID && p.Start == q.Start && p.UID == q.UID && p.Exe == q.Exe
}

// tick is the unit of start times in /proc; the kernel shows 100 a second to programs on every architecture.
const tick = time.Second / 100

// limit bounds what is read from one file of /proc: the owner of a process chooses the size of some.
const limit = 256 << 10

// ErrGone is the error for a process that does not exist.
var ErrGone = errors.New("no such process")

// Read tells what a process is now.
func Read(pid int) (Process, error) {
	p := Process{PID: pid}
	stat, err := read(pid, "stat")
	if err != nil {
		return p, err
	}
	if err := p.stat(stat); err != nil {
		return p, err
	}
	if p.UID, err = uid(pid); err != nil {
		return p, err
	}
	cgroup, err := read(pid, "cgroup")
	if err != nil {
		return p, err
	}
	p.Group = group(string(cgroup))
	if exe, err := os.Readlink(path(pid, "exe")); err == nil {
		p.Exe, p.Gone = strings.CutSuffix(exe, " (deleted)")
	}
	return p, nil
}

// exitCode is the place of that field in /proc/PID/stat, counted from the state; kernels before 3.5 end before it.
const exitCode = 49

// stat takes state, start time and how the process ended. The name, in parentheses, may hold anything, parentheses too.
func (p *Process) stat(b []byte) error {
	end := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[end+1:]))
	if end < 0 || len(fields) < 20 {
		return fmt.Errorf("read process %d: stat has %d fields", p.PID, len(fields))
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil || ticks < 0 || ticks > int64((1<<63-1)/tick) {
		return fmt.Errorf("read process %d: start time %q", p.PID, fields[19])
	}
	p.State, p.Start = fields[0][0], time.Duration(ticks)*tick
	if len(fields) > exitCode {
		p.failed = fields[exitCode] != "0"
	}
	return nil
}

// group picks the line of the unified hierarchy, or of systemd's own where that one is not used.
func group(cgroup string) string {
	var unified, systemd string
	for line := range strings.Lines(cgroup) {
		line = strings.TrimSuffix(line, "\n")
		if g, ok := strings.CutPrefix(line, "0::"); ok {
			unified = g
		} else if _, g, ok := strings.Cut(line, ":name=systemd:"); ok {
			systemd = g
		}
	}
	if unified == "" || unified == "/" && systemd != "" {
		return systemd
	}
	return unified
}

func uid(pid int) (uint32, error) {
	ids, err := status(pid, "Uid:")
	if err != nil {
		return 0, err
	}
	if len(ids) == 0 {
		return 0, fmt.Errorf("read process %d: no uid", pid)
	}
	return ids[0], nil
}

// GroupIDs returns the group ids of a process, the primary one first.
func GroupIDs(pid int) ([]uint32, error) {
	primary, err := status(pid, "Gid:")
	if err != nil {
		return nil, err
	}
	others, err := status(pid, "Groups:")
	if err != nil || len(primary) == 0 {
		return nil, fmt.Errorf("read groups of process %d: %w", pid, err)
	}
	return append(primary[:1], others...), nil
}

// Traced reports whether a debugger holds the process, or that cannot be told.
func Traced(pid int) bool {
	by, err := status(pid, "TracerPid:")
	return err != nil || len(by) != 1 || by[0] != 0
}

// status returns the numbers of one line of /proc/PID/status.
func status(pid int, key string) ([]uint32, error) {
	b, err := read(pid, "status")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, key)
		if !ok {
			continue
		}
		var ids []uint32
		for _, f := range strings.Fields(rest) {
			n, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("read process %d: %s %q", pid, key, f)
			}
			ids = append(ids, uint32(n))
		}
		return ids, nil
	}
	return nil, fmt.Errorf("read process %d: no %s", pid, key)
}

// Env returns the value of one variable in the environment with which a process was started, or "". Its owner
// chose it: check the form of the value before use.
func Env(pid int, name string) string {
	b, err := read(pid, "environ")
	if err != nil {
		return ""
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
			return string(value)
		}
	}
	return ""
}

// All returns the pids of every process there is.
func All() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// InGroup returns the pids in a control group, those in groups below it included.
func InGroup(group string) ([]int, error) {
	top, err := GroupDir(group)
	if err != nil {
		return nil, err
	}
	var pids []int
	err = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // a group may end while it is looked at
		}
		b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// GroupDir returns the directory of a control group in the file system.
func GroupDir(group string) (string, error) {
	if group == "" || group == "/" || strings.Contains(group, "/..") {
		return "", fmt.Errorf("control group %q is none", group)
	}
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		dir := filepath.Join(top, group)
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("control group %q: %w", group, os.ErrNotExist)
}

func path(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// read takes a file of /proc, up to limit bytes.
func read(pid int, name string) ([]byte, error) {
	f, err := os.Open(path(pid, name))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = ErrGone
		}
		return nil, fmt.Errorf("read %s of process %d: %w", name, pid, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s of process %d: %w", name, pid, err)
	}
	return b, nil
}
