//go:build linux && machine

package vm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/test/vm/wire"
)

// ours are the programs that a workstation has. The others keep a desktop's lock: light-locker by itself without a limit,
// xss-lock with one that the X server counts.
var (
	ours   = []string{"stepaway-agent", "stepaway-courier", "stepaway-tray"}
	others = []string{"light-locker", "xss-lock"}
)

// locker starts xss-lock as a desktop would: in the session. Nothing makes it lock here.
const locker = `session=$(loginctl list-sessions --no-legend | awk '$3 == "nurse" && $4 == "seat0" {print $1}')
echo $$ >/sys/fs/cgroup/user.slice/user-1000.slice/session-$session.scope/cgroup.procs
setsid runuser -u nurse -- env DISPLAY=:0 XAUTHORITY=/home/nurse/.Xauthority xss-lock -- true </dev/null >/dev/null 2>&1 &`

// restsQuietly measures what our programs take while nobody touches the machine.
func (w *ward) restsQuietly() {
	const span = 5 * time.Minute
	w.sh(locker)
	w.touch()
	w.until("the machine to come to rest", w.rests)
	began := w.now()
	all := w.costs(span)
	minutes := span.Minutes()

	var sum wire.Cost
	table := fmt.Sprintf("idle for %.1f minutes       switches/min   CPU ms/min   RSS MB\n", minutes)
	row := func(name string, c wire.Cost) {
		table += fmt.Sprintf("  %-24s %14.1f %12.1f %8.1f\n", name, float64(c.Switches)/minutes, float64(c.CPUNS)/1e6/minutes, float64(c.RSSKB)/1024)
	}
	for _, name := range append(slices.Clone(ours), others...) {
		c := all[name]
		if c.PID == 0 {
			w.t.Fatalf("%s does not run", name)
		}
		if name == others[0] {
			row("ours together", sum)
		}
		row(name, c)
		sum.Switches, sum.CPUNS, sum.RSSKB = sum.Switches+c.Switches, sum.CPUNS+c.CPUNS, sum.RSSKB+c.RSSKB
	}
	w.step("%s", table)
	w.record("idle", table)
	w.none(began, audit.LockRequested)
}

// rests says whether the processors had almost nothing to do for five seconds.
func (w *ward) rests() bool {
	w.t.Helper()
	before := w.idleTicks()
	time.Sleep(5 * time.Second)
	return w.idleTicks()-before > 800 // of 1000
}

// idleTicks is for how long, in hundredths of a second, both processors have had nothing to do.
func (w *ward) idleTicks() int {
	w.t.Helper()
	n, err := strconv.Atoi(w.sh("awk '/^cpu / {print $5}' /proc/stat"))
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// costs are what our programs and the lockers take in a while.
func (w *ward) costs(span time.Duration) map[string]wire.Cost {
	w.t.Helper()
	var list []wire.Cost
	said := w.Try(span+callIn, nil, append(append([]string{"/payload/guest", "cost", span.String()}, others...), ours...)...)
	if err := json.Unmarshal(said.Out, &list); err != nil {
		w.t.Fatalf("%v: %s%s", err, said.Out, said.Err)
	}
	all := map[string]wire.Cost{}
	for _, c := range list {
		all[c.Name] = c
	}
	return all
}

// punctuality tells how late the locks were that nothing disturbed, on all machines.
func (w *ward) punctuality() {
	w.t.Helper()
	late := w.shift.late
	if len(late) == 0 {
		w.t.Error("no lock was measured")
		return
	}
	slices.Sort(late)
	var list []string
	for _, d := range late {
		list = append(list, fmt.Sprint(d.Milliseconds()))
	}
	said := fmt.Sprintf("lock asked for after the deadline, %d deadlines of %v: p50 %d ms, max %d ms (%s)\n", len(late), limit,
		late[len(late)/2].Milliseconds(), late[len(late)-1].Milliseconds(), strings.Join(list, " "))
	w.step("%s", said)
	w.record("lateness", said)
}
