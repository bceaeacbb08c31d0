package whole

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

// held is what a process holds of the system.
type held struct{ files, threads int }

func holds(pid int) held {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return held{len(files), len(threads)}
}

// within reports whether a process holds no more than before. Go keeps a thread that once waited in the kernel, so one
// or two more mean nothing; a thread for every warning would.
func (h held) within(before held) bool {
	return h.files <= before.files && h.threads <= before.threads+2
}

// child is the process of one of our programs that the agent has started.
func (s *site) child(name string) (pid int) {
	s.t.Helper()
	rig.WaitFor(s.t, "the process of "+name, func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.agent.PID()))
		for _, path := range tasks {
			b, _ := os.ReadFile(path)
			for _, f := range strings.Fields(string(b)) {
				if exe, _ := os.Readlink("/proc/" + f + "/exe"); exe == filepath.Join(s.bin, name) {
					_, err := fmt.Sscan(f, &pid)
					return err == nil
				}
			}
		}
		return false
	})
	return pid
}

// Warnings that come and go leave nothing behind in any of the programs.
func TestSessionLeavesNothingBehind(t *testing.T) {
	s := open(t, panel)
	s.end = 8 * time.Second
	s.run()
	cycle := func() {
		s.phase(link.Warned)
		s.notified("1")
		s.xdo("mousemove_relative", "--", "40", "30")
		s.phase(link.Active)
		s.notified("0")
	}
	cycle()
	s.await(audit.WarningCleared, 1)
	pids := map[string]int{"stepaway-agent": s.agent.PID(), "stepaway-tray": s.child("stepaway-tray"),
		"stepaway-courier": s.child("stepaway-courier"), "stepaway-collector": s.collector.PID()}
	before := map[string]held{}
	for name, pid := range pids {
		before[name] = holds(pid)
	}
	const cycles = 5
	for range cycles {
		cycle()
	}
	s.await(audit.WarningCleared, cycles+1)
	for name, pid := range pids {
		var now held
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if now = holds(pid); now.files > 0 && now.within(before[name]) {
				break
			}
		}
		t.Logf("%s: %+v, then %+v", name, before[name], now)
		if now.files == 0 || !now.within(before[name]) {
			t.Errorf("%s holds %+v after %d warnings more, held %+v", name, now, cycles, before[name])
		}
	}
}
