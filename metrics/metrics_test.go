package metrics

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
)

// parse has Prometheus' own reader for Python read a text and print each sample as JSON.
const parse = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for f in text_string_to_metric_families(sys.stdin.read()):
    assert f.documentation and f.type != "unknown", f
    for s in f.samples:
        print(json.dumps([s.name, s.labels, s.value]))
`

func samples(t *testing.T, text string) map[string]float64 {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", parse)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3-prometheus-client does not read it: run `make deps`: %v\n%s", err, text)
	}
	got := map[string]float64{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var s [3]any
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		labels, _ := json.Marshal(s[1])
		name := s[0].(string) + string(labels)
		if _, twice := got[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		got[name] = s[2].(float64)
	}
	return got
}

func TestTextIsReadByPrometheus(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	st := link.Status{Version: `1.2"3\4`, Policy: "abcd", NowMS: 100_000, Waiting: 3, Dropped: 2,
		Sessions: []link.SessionStatus{
			{ID: "1", User: "canary", Readable: true, Tray: true, State: link.State{Phase: link.Active, DeadlineMS: 160_000}},
			{ID: "2", User: "canary", Readable: true, State: link.State{Phase: link.Warned, DeadlineMS: 130_500}},
			{ID: "3", User: "canary", State: link.State{Phase: link.Secured, DeadlineMS: 1}},
		},
		Courier: &link.Courier{Head: 20, Acked: 5, Bytes: 4096, Collector: "up"},
		Totals: &link.Totals{Events: map[audit.Type]uint64{audit.PolicyRelaxed: 2, audit.LockFailed: 1},
			Locks: []link.LockTotal{{Rung: "logind", Proof: "locker", N: 4}, {Rung: "fallback", Proof: "locker", N: 1}},
			Late:  []uint64{1, 2, 0, 1, 0, 0, 1}, LateSumMS: 70_500, LateMaxMS: 66_000, LastLockMS: 90_000}}
	text := Text(st, now)
	if strings.Contains(text, "canary") {
		t.Error("a user's name is in it")
	}
	got := samples(t, text)
	for name, want := range map[string]float64{
		`stepaway_info{"version": "1.2\"3\\4", "policy": "abcd"}`:   1,
		`stepaway_sessions{"state": "active"}`:                      1,
		`stepaway_sessions{"state": "warned"}`:                      1,
		`stepaway_sessions{"state": "expired"}`:                     0,
		`stepaway_sessions{"state": "secured"}`:                     1,
		`stepaway_sessions_input_unreadable{}`:                      1,
		`stepaway_trays{}`:                                          1,
		`stepaway_next_deadline_timestamp_seconds{}`:                1_800_000_030.5,
		`stepaway_written_timestamp_seconds{}`:                      1_800_000_000,
		`stepaway_last_lock_timestamp_seconds{}`:                    1_799_999_990,
		`stepaway_events_waiting{}`:                                 3,
		`stepaway_events_dropped_total{}`:                           2,
		`stepaway_courier_up{}`:                                     1,
		`stepaway_collector_up{}`:                                   1,
		`stepaway_spool_bytes{}`:                                    4096,
		`stepaway_spool_unsent{}`:                                   15,
		`stepaway_events_total{"type": "policy.relaxed"}`:           2,
		`stepaway_events_total{"type": "policy.rejected"}`:          0,
		`stepaway_locks_total{"rung": "logind", "proof": "locker"}`: 4,
		`stepaway_lock_lateness_seconds_bucket{"le": "0.05"}`:       1,
		`stepaway_lock_lateness_seconds_bucket{"le": "0.25"}`:       3,
		`stepaway_lock_lateness_seconds_bucket{"le": "60"}`:         4,
		`stepaway_lock_lateness_seconds_bucket{"le": "+Inf"}`:       5,
		`stepaway_lock_lateness_seconds_count{}`:                    5,
		`stepaway_lock_lateness_seconds_sum{}`:                      70.5,
		`stepaway_lock_lateness_max_seconds{}`:                      66,
	} {
		if v, there := got[canonical(t, name)]; !there || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, there, want)
		}
	}
}

// canonical sorts the labels of a name, as samples has them.
func canonical(t *testing.T, name string) string {
	t.Helper()
	at := strings.IndexByte(name, '{')
	var labels map[string]string
	if err := json.Unmarshal([]byte(name[at:]), &labels); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(labels)
	return name[:at] + string(b)
}

func TestTextOfAnAgentThatHasJustStarted(t *testing.T) {
	got := samples(t, Text(link.Status{}, time.Unix(1, 0)))
	for name := range got {
		if strings.Contains(name, "deadline") || strings.Contains(name, "collector") || strings.Contains(name, "last_lock") {
			t.Errorf("%s is there, though nobody knows", name)
		}
	}
	if got[`stepaway_courier_up{}`] != 0 || len(got) < 10 {
		t.Errorf("%v", got)
	}
}
