package idle

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"stepaway/session"
)

// environment is the part of a process's environment that leads to a display. The session's user wrote it.
type environment struct {
	display, authority, home string
}

const (
	maxEnviron   = 256 << 10 // bytes
	maxProcesses = 4096      // looked at for one session
)

// environments reads the environments of a session's processes, its leader's first, then those in its control group,
// then all of its user's. It stops when enough says so.
func environments(procDir, sysDir string, s session.Session, enough func(environment) bool) {
	tried := map[int]bool{}
	look := func(pid int) bool {
		if pid <= 0 || tried[pid] || len(tried) >= maxProcesses {
			return false
		}
		tried[pid] = true
		e, ok := readEnvironment(filepath.Join(procDir, strconv.Itoa(pid), "environ"))
		return ok && enough(e)
	}
	if look(s.Leader) {
		return
	}
	for _, pid := range scopeProcesses(sysDir, s.Scope) {
		if look(pid) {
			return
		}
	}
	for _, pid := range userProcesses(procDir, s.UID) {
		if look(pid) {
			return
		}
	}
}

// readEnvironment takes DISPLAY, XAUTHORITY and HOME, and looks at nothing else.
func readEnvironment(path string) (e environment, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return e, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEnviron))
	if err != nil {
		return e, false
	}
	for line := range bytes.SplitSeq(b, []byte{0}) {
		name, value, _ := strings.Cut(string(line[:min(len(line), 4096)]), "=")
		switch name {
		case "DISPLAY":
			e.display = value
		case "XAUTHORITY":
			e.authority = value
		case "HOME":
			e.home = value
		}
	}
	return e, e.display != ""
}

func scopeProcesses(sysDir, scope string) (pids []int) {
	if scope == "" || !filepath.IsLocal(strings.TrimPrefix(scope, "/")) {
		return nil
	}
	f, err := os.Open(filepath.Join(sysDir, "fs/cgroup", scope, "cgroup.procs"))
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(pids) < maxProcesses {
		if pid, err := strconv.Atoi(lines.Text()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func userProcesses(procDir string, uid uint32) (pids []int) {
	d, err := os.Open(procDir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		st, err := os.Stat(filepath.Join(procDir, name))
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Uid == uid {
			pids = append(pids, pid)
		}
	}
	return pids
}
