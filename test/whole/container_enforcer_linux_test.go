package whole

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

const (
	steady   = "limit: 12s\nwarning: 4s\n"
	steadily = 12 * time.Second // limit of steady
	watchdog = 15 * time.Second // of the unit
)

// Whatever is done to the enforcer's process, a deadline counts from the last input.
func TestMachineEnforcerKilledAndStoppedStillLocks(t *testing.T) {
	m := install(t, calm)
	id := m.desktop(rig.ObeysLock)

	last := m.under(steady)
	for clock.Now() < last.to+steadily-2*time.Second { // at 5 and 10 seconds
		m.pause(5 * time.Second)
		m.kill(agent)
	}
	m.onTime(last, steadily, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	if e := m.await(last.to, audit.AgentRecovered, "severity=warning"); fact(e, "ref") == "" {
		t.Errorf("the run before is not named: %s", encode(e))
	}
	m.unlock(id)
	m.step("killed every 5 seconds: locked on time")

	last = m.touch()
	before := m.restarts(agent)
	for range 100 { // in a minute
		m.pause(600 * time.Millisecond)
		m.kill(agent)
	}
	if n := m.restarts(agent) - before; n != 100 {
		t.Errorf("%d restarts after 100 kills", n)
	}
	m.patiently("a lock in spite of the kills", func() bool { return len(m.find("nurse", "/usr/bin/i3lock")) > 0 })
	if late := m.started(m.find("nurse", "/usr/bin/i3lock")[0]) - last.to - steadily; late > promptly+2*time.Second {
		t.Errorf("locked %v late under 100 kills", late)
	}
	m.phase(id, link.Secured)
	m.unlock(id)
	m.step("killed 100 times in a minute: still enforcing")

	last = m.touch()
	m.pause(5 * time.Second)
	stopped := clock.Now()
	m.signal(agent, "STOP")
	e := m.await(last.to, audit.LockRequested, "session="+id, "reason=idle")
	if back := at(e) - stopped; back > watchdog+promptly+time.Second {
		t.Errorf("locked %v after the enforcer was stopped, and the watchdog takes %v", back, watchdog)
	}
	if late, said := at(e)-last.to-steadily, time.Duration(*e.Facts.LateMS)*time.Millisecond; said < late-time.Second {
		t.Errorf("%v late, and the record says %v", late, said)
	}
	m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	m.delivered()
	m.verified()
}

// pause lets time pass that only paces what is done, and decides nothing.
func (m *machine) pause(d time.Duration) { time.Sleep(d) }

func (m *machine) restarts(unit string) int {
	m.t.Helper()
	n, err := strconv.Atoi(m.Must("systemctl", "show", "-P", "NRestarts", unit))
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// started is when a process began.
func (m *machine) started(pid string) time.Duration {
	m.t.Helper()
	stat := m.Must("cat", "/proc/"+pid+"/stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	ticks, err := strconv.Atoi(fields[19])
	if err != nil {
		m.t.Fatal(err)
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
