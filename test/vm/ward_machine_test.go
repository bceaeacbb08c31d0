//go:build linux && machine

package vm

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/vm/qemu"
)

const (
	policyAt = "/etc/stepaway/policy.yaml"
	agent    = "stepaway.service"
	courier  = "stepaway-courier.service"
	patience = 5 * time.Minute // for what comes in a few seconds on a machine that has a processor of its own
	callIn   = 3 * time.Minute // one program in the machine
)

const (
	calm  = "limit: 30m\nwarning: 1m\n"
	brisk = "limit: 20s\nwarning: 10s\n"
	limit = 20 * time.Second             // of brisk
	slow  = "limit: 40s\nwarning: 20s\n" // time enough for input while warned
	broad = "limit: 2m\nwarning: 1m\n"   // time enough to be seen
)

// ward is a workstation with Stepaway, and a collector on its own loopback.
type ward struct {
	*qemu.Machine
	t     *testing.T
	began time.Time
	shots string
	lane  string
	shift *shift
}

// shift is what the lanes gather together.
type shift struct {
	mu   sync.Mutex
	late []time.Duration // of locks that nothing disturbed: from the deadline to the request
}

// record keeps a text beside the pictures.
func (w *ward) record(name, table string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.shots, name+".txt"), []byte(table), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// step tells at once how far the test is: with several lanes, what is logged comes at the end.
func (w *ward) step(format string, args ...any) {
	w.t.Helper()
	fmt.Printf("%5.0f s  %-8s %s\n", time.Since(w.began).Seconds(), w.lane, fmt.Sprintf(format, args...))
}

// try runs a program in the machine as root.
func (w *ward) try(args ...string) (out string, ok bool) {
	w.t.Helper()
	a := w.Try(callIn, nil, args...)
	return strings.TrimSpace(string(a.Out)), a.Code == 0
}

// must is try for what has to succeed.
func (w *ward) must(args ...string) string {
	w.t.Helper()
	a := w.Try(callIn, nil, args...)
	if a.Code != 0 {
		w.t.Fatalf("%s: status %d: %s%s", strings.Join(args, " "), a.Code, a.Out, a.Err)
	}
	return strings.TrimSpace(string(a.Out))
}

// sh is must for a line of shell.
func (w *ward) sh(line string) string { w.t.Helper(); return w.must("sh", "-c", line) }

// write makes a file.
func (w *ward) write(path, content string) {
	w.t.Helper()
	if a := w.Try(callIn, []byte(content), "install", "-D", "-m", "644", "/dev/stdin", path); a.Code != 0 {
		w.t.Fatalf("write %s: %s", path, a.Err)
	}
}

// asNurse runs a program with the desktop's display.
func (w *ward) asNurse(args ...string) string {
	w.t.Helper()
	return w.must(append([]string{"runuser", "-u", "nurse", "--", "env", "DISPLAY=:0", "XAUTHORITY=/home/nurse/.Xauthority",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus", "XDG_RUNTIME_DIR=/run/user/1000"}, args...)...)
}

// until polls cond until it holds.
func (w *ward) until(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			w.Shot("in-vain")
			w.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// now is the machine's time since boot, sleep included.
func (w *ward) now() time.Duration {
	w.t.Helper()
	return time.Duration(w.Try(callIn, nil, "true").From) * time.Millisecond
}

// status is what the agent tells root.
func (w *ward) status() (st link.Status) {
	w.t.Helper()
	w.until("the agent's status", func() bool {
		a := w.Try(callIn, nil, "stepaway-agent", "status", "--json")
		return a.Code == 0 && json.Unmarshal(a.Out, &st) == nil
	})
	return st
}

// session is nurse's session on the seat in the agent's status.
func (w *ward) session() (s link.SessionStatus, there bool) {
	w.t.Helper()
	list := w.status().Sessions
	i := slices.IndexFunc(list, func(s link.SessionStatus) bool { return s.User == "nurse" && s.Seat != "" })
	if i < 0 {
		return link.SessionStatus{}, false
	}
	return list[i], true
}

// phase waits until nurse's session is in a phase.
func (w *ward) phase(want link.Phase) link.SessionStatus {
	w.t.Helper()
	var s link.SessionStatus
	w.until("the session to be "+string(want), func() bool { s, _ = w.session(); return s.State.Phase == want })
	return s
}

// collector runs a verb of the collector's program, as the collector's account.
func (w *ward) collector(verb string, args ...string) string {
	w.t.Helper()
	return w.must(append([]string{"runuser", "-u", "stepaway-collector", "--", "stepaway-collector", verb, "--data",
		"/var/lib/stepaway-collector"}, args...)...)
}

// boot is the kernel's name of this boot.
func (w *ward) boot() string { w.t.Helper(); return w.must("cat", "/proc/sys/kernel/random/boot_id") }

// events are all that the collector has of this boot since a time, in the order in which they happened.
func (w *ward) events(since time.Duration) []audit.Event {
	w.t.Helper()
	return w.eventsOf(w.boot(), since)
}

func (w *ward) eventsOf(boot string, since time.Duration) (list []audit.Event) {
	w.t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(w.collector("events", "--json"))); lines.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Fatalf("event %s: %v", lines.Bytes(), err)
		}
		if e.BootMS >= since.Milliseconds() && e.Boot == boot {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b audit.Event) int { return cmp.Or(cmp.Compare(a.BootMS, b.BootMS), cmp.Compare(a.N, b.N)) })
	return list
}

// is says whether an event has a type, and facts given as "proof=greeter".
func is(e audit.Event, t audit.Type, facts ...string) bool {
	if e.Type != t {
		return false
	}
	for _, f := range facts {
		if key, want, _ := strings.Cut(f, "="); fact(e, key) != want {
			return false
		}
	}
	return true
}

// fact is one of an event's facts by its name in the record.
func fact(e audit.Event, key string) string {
	switch key {
	case "reason":
		return string(e.Reason)
	case "severity":
		return string(e.Severity)
	}
	b, _ := json.Marshal(e.Facts)
	var all map[string]any
	_ = json.Unmarshal(b, &all)
	if v := all[key]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// await waits until the collector has such an event since a time of this boot, and returns the first.
func (w *ward) await(since time.Duration, t audit.Type, facts ...string) (found audit.Event) {
	w.t.Helper()
	w.until(fmt.Sprint(t, facts, " at the collector"), func() bool {
		list := w.events(since)
		i := slices.IndexFunc(list, func(e audit.Event) bool { return is(e, t, facts...) })
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// none fails the test if the collector has such an event since a time of this boot.
func (w *ward) none(since time.Duration, t audit.Type, facts ...string) {
	w.t.Helper()
	for _, e := range w.events(since) {
		if is(e, t, facts...) {
			b, _ := json.Marshal(e)
			w.t.Errorf("unwanted %s %v: %s", t, facts, b)
		}
	}
}

// at is when an event happened, since boot.
func at(e audit.Event) time.Duration { return time.Duration(e.BootMS) * time.Millisecond }

// rule puts a policy in force.
func (w *ward) rule(policy string) {
	w.t.Helper()
	if w.must("cat", policyAt)+"\n" == policy {
		return
	}
	before := w.status().Policy
	w.write(policyAt, policy)
	w.until("the new policy", func() bool { return w.status().Policy != before })
}

// touch is one key of the real keyboard, and returns when the kernel had it.
func (w *ward) touch() time.Duration {
	w.t.Helper()
	before, _ := w.Touched()
	w.Key("shift")
	var last time.Duration
	w.until("the key to come in", func() bool { last, _ = w.Touched(); return last > before })
	time.Sleep(200 * time.Millisecond) // and go up
	last, _ = w.Touched()
	return last
}

// report tells what the collector has and what the services said.
func (w *ward) report() {
	told := w.collector("events")
	told = told[max(0, len(told)-8000):]
	log, _ := w.try("sh", "-c", "journalctl -q --no-pager -u "+agent+" -u "+courier+" -n 80 -o short-precise; loginctl list-sessions")
	status, _ := w.try("stepaway-agent", "status")
	w.t.Logf("events at the collector:\n%s\nlog of the services:\n%s\nstatus:\n%s", told, log, status)
}
