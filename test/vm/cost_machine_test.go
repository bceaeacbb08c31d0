//go:build linux && machine

package vm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/test/vm/wire"
)

// ours are the programs that a workstation has; the other keeps the desktop's lock, by itself without a limit.
var ours = []string{"stepaway-agent", "stepaway-courier", "stepaway-tray"}

const other = "light-locker"

// restsQuietly measures what our programs take while nobody touches the machine.
func (w *ward) restsQuietly() {
	const span = 3 * time.Minute
	w.rule(calm)
	w.touch()
	time.Sleep(10 * time.Second) // what the key began is over
	before := w.costs()
	began := w.now()
	time.Sleep(span)
	after := w.costs()
	minutes := (w.now() - began).Minutes()

	var sum wire.Cost
	table := fmt.Sprintf("idle for %.1f minutes       switches/min   CPU ms/min   RSS MB\n", minutes)
	row := func(name string, c wire.Cost) {
		table += fmt.Sprintf("  %-24s %14.1f %12.1f %8.1f\n", name, float64(c.Switches)/minutes, float64(c.CPUNS)/1e6/minutes, float64(c.RSSKB)/1024)
	}
	for _, name := range append(slices.Clone(ours), other) {
		a, was := after[name], before[name]
		if a.PID == 0 || a.PID != was.PID {
			w.t.Fatalf("%s is %d, was %d", name, a.PID, was.PID)
		}
		a.Switches, a.CPUNS = a.Switches-was.Switches, a.CPUNS-was.CPUNS
		if name == other {
			row("ours together", sum)
		}
		row(name, a)
		sum.Switches, sum.CPUNS, sum.RSSKB = sum.Switches+a.Switches, sum.CPUNS+a.CPUNS, sum.RSSKB+a.RSSKB
	}
	w.t.Log("\n" + table)
	w.record("idle", table)
	w.none(began, audit.LockRequested)
}

// costs are what our programs and the locker have taken so far.
func (w *ward) costs() map[string]wire.Cost {
	w.t.Helper()
	var list []wire.Cost
	if err := json.Unmarshal([]byte(w.must(append([]string{"/payload/guest", "cost", other}, ours...)...)), &list); err != nil {
		w.t.Fatal(err)
	}
	all := map[string]wire.Cost{}
	for _, c := range list {
		all[c.Name] = c
	}
	return all
}

// isPunctual lets more deadlines pass until ten are measured, and tells how late those were that nothing disturbed.
func (w *ward) isPunctual() {
	for len(w.shift.late) < 10 {
		w.under(brisk)
		w.locked(w.touch())
		w.open()
	}
	late := w.shift.late
	slices.Sort(late)
	var list []string
	for _, d := range late {
		list = append(list, fmt.Sprint(d.Milliseconds()))
	}
	said := fmt.Sprintf("lock asked for after the deadline, %d deadlines of %v: p50 %d ms, max %d ms (%s)\n", len(late), limit,
		late[len(late)/2].Milliseconds(), late[len(late)-1].Milliseconds(), strings.Join(list, " "))
	w.t.Log(said)
	w.record("lateness", said)
}
