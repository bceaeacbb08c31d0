// Package metrics writes what the agent knows as text for Prometheus, as node_exporter's textfile collector reads it.
//
// Failure rules: no name of a user, session or file is in it, so all may read it. What is not known has no line.
package metrics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// Text gives the metrics of a status that was taken at the wall time now.
func Text(st link.Status, now time.Time) string {
	var w text
	w.family("stepaway_info", "gauge", "The running agent and the hash of its policy in force.")
	w.line("stepaway_info", 1, "version", st.Version, "policy", st.Policy)
	w.one("stepaway_written_timestamp_seconds", "gauge", "When this was written, at least every five minutes.", seconds(now))
	w.sessions(st, now)
	w.one("stepaway_events_waiting", "gauge", "Events in the agent's memory that the courier does not have yet.", float64(st.Waiting))
	w.one("stepaway_events_dropped_total", "counter", "Events lost before the courier had them.", float64(st.Dropped))
	w.courier(st.Courier)
	if st.Totals != nil {
		w.totals(st, now)
	}
	return w.String()
}

type text struct{ strings.Builder }

func (w *text) sessions(st link.Status, now time.Time) {
	phases, trays, unreadable := map[link.Phase]int{}, 0, 0
	var next *int64
	for _, s := range st.Sessions {
		phases[s.State.Phase]++
		if s.Tray {
			trays++
		}
		if !s.Readable {
			unreadable++
		}
		if due := s.State.DeadlineMS; (s.State.Phase == link.Active || s.State.Phase == link.Warned) && (next == nil || due < *next) {
			next = &due
		}
	}
	w.family("stepaway_sessions", "gauge", "Sessions by the state of their deadline.")
	for _, p := range []link.Phase{link.Active, link.Warned, link.Expired, link.Secured} {
		w.line("stepaway_sessions", float64(phases[p]), "state", string(p))
	}
	w.one("stepaway_sessions_input_unreadable", "gauge", "Sessions whose input cannot be read.", float64(unreadable))
	w.one("stepaway_trays", "gauge", "Sessions with a tray.", float64(trays))
	if next != nil {
		w.one("stepaway_next_deadline_timestamp_seconds", "gauge", "When the next session must be secured if nobody touches it.",
			seconds(now.Add(ms(*next-st.NowMS))))
	}
}

func (w *text) courier(c *link.Courier) {
	connected := 0.0
	if c != nil {
		connected = 1
	}
	w.one("stepaway_courier_up", "gauge", "Whether the courier is connected to the agent.", connected)
	if c == nil {
		return
	}
	up := 0.0
	if c.Collector == "up" {
		up = 1
	}
	w.one("stepaway_collector_up", "gauge", "Whether the courier reaches the collector.", up)
	w.one("stepaway_spool_bytes", "gauge", "Size of the spool on disk.", float64(c.Bytes))
	w.one("stepaway_spool_unsent", "gauge", "Records in the spool that the collector does not have.", float64(c.Head-min(c.Acked, c.Head)))
}

func (w *text) totals(st link.Status, now time.Time) {
	t := st.Totals
	w.family("stepaway_events_total", "counter", "Events recorded since the agent started, by type.")
	for _, name := range audit.Types() {
		w.line("stepaway_events_total", float64(t.Events[name]), "type", string(name))
	}
	w.family("stepaway_locks_total", "counter", "Locks that were proved since the agent started, by means and proof.")
	for _, l := range t.Locks {
		w.line("stepaway_locks_total", float64(l.N), "rung", l.Rung, "proof", l.Proof)
	}
	w.late(t)
	w.one("stepaway_lock_lateness_max_seconds", "gauge", "Longest time from a deadline to the proof since the agent started.", ms(t.LateMaxMS).Seconds())
	if t.LastLockMS > 0 {
		w.one("stepaway_last_lock_timestamp_seconds", "gauge", "When a lock was last proved.", seconds(now.Add(-ms(st.NowMS-t.LastLockMS))))
	}
}

func (w *text) late(t *link.Totals) {
	const name = "stepaway_lock_lateness_seconds"
	w.family(name, "histogram", "Time from a deadline to the proof of the lock.")
	n := uint64(0)
	for i, bound := range link.LateBounds {
		if i < len(t.Late) {
			n += t.Late[i]
		}
		w.line(name+"_bucket", float64(n), "le", number(bound.Seconds()))
	}
	if len(t.Late) > len(link.LateBounds) {
		n += t.Late[len(link.LateBounds)]
	}
	w.line(name+"_bucket", float64(n), "le", "+Inf")
	w.line(name+"_sum", ms(t.LateSumMS).Seconds())
	w.line(name+"_count", float64(n))
}

func (w *text) family(name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (w *text) one(name, kind, help string, v float64) {
	w.family(name, kind, help)
	w.line(name, v)
}

// line writes one sample; labels are pairs of name and value.
func (w *text) line(name string, v float64, labels ...string) {
	w.WriteString(name)
	for i, pair := range slices.Collect(slices.Chunk(labels, 2)) {
		w.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + pair[0] + `="` + escape.Replace(pair[1]) + `"`)
	}
	if len(labels) > 0 {
		w.WriteString("}")
	}
	w.WriteString(" " + number(v) + "\n")
}

// escape is what a label's value needs.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
