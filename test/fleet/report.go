//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// figures are what was measured of one scenario on one store, or of a part of it.
type figures struct {
	Scenario     string         `json:"scenario"`
	Store        string         `json:"store"`
	Part         string         `json:"part,omitempty"`
	Devices      int            `json:"devices"`
	Seconds      float64        `json:"seconds"`
	Events       int64          `json:"events"`
	Rate         float64        `json:"events_per_second"`
	Batches      int            `json:"batches"`
	P50          float64        `json:"batch_p50_ms"`
	P99          float64        `json:"batch_p99_ms"`
	Max          float64        `json:"batch_max_ms"`
	Busy         int            `json:"told_to_come_again"`
	Early        int            `json:"came_too_early"`
	Failed       map[string]int `json:"failed,omitempty"` // exchanges without an answer or with a bad one, by code
	IdleKB       int            `json:"resident_before_kb"`
	PeakKB       int            `json:"resident_peak_kb"`
	Connections  int            `json:"connections_peak"`
	ConnectionKB float64        `json:"kb_per_connection"`
	CPU          float64        `json:"collector_cpu_s"`
	StoreCPU     float64        `json:"database_cpu_s"`
	FleetCPU     float64        `json:"fleet_cpu_s"`
	Verified     int64          `json:"verified"`        // events that the collector holds at the end, each once
	Ratio        float64        `json:"ratio,omitempty"` // of the rate without a store; or of the p99 without broken clients
	WorkRatio    float64        `json:"ratio_by_processor_time,omitempty"`
	Handshakes   int            `json:"handshakes,omitempty"`
	Note         string         `json:"note,omitempty"`
}

// report prints lines as they come and keeps them for files.
type report struct {
	dir  string
	out  io.Writer
	mu   sync.Mutex
	all  []figures
	told bool
}

const lineFormat = "%-8s %-10s %-22s %7s %8s %7s %8s %8s %8s %7s %14s %6s %7s %9s  %s\n"

func (r *report) line(f figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, f)
	if !r.told {
		r.told = true
		fmt.Fprintf(r.out, lineFormat, "scenario", "store", "part", "devices", "events", "s", "events/s", "p50 ms", "p99 ms", "again", "resident MB", "conns", "kB/conn", "CPU µs/ev", "")
	}
	perEvent := "-"
	if f.Events > 0 {
		perEvent = fmt.Sprintf("%.0f+%.0f", f.CPU/float64(f.Events)*1e6, f.StoreCPU/float64(f.Events)*1e6)
	}
	fmt.Fprintf(r.out, lineFormat, f.Scenario, f.Store, f.Part, fmt.Sprint(f.Devices), fmt.Sprint(f.Events), fmt.Sprintf("%.1f", f.Seconds),
		fmt.Sprintf("%.0f", f.Rate), fmt.Sprintf("%.1f", f.P50), fmt.Sprintf("%.1f", f.P99), fmt.Sprint(f.Busy),
		fmt.Sprintf("%.0f to %.0f", float64(f.IdleKB)/1024, float64(f.PeakKB)/1024), fmt.Sprint(f.Connections), fmt.Sprintf("%.0f", f.ConnectionKB),
		perEvent, f.remark())
}

func (f figures) remark() string {
	var parts []string
	if f.Ratio > 0 {
		parts = append(parts, fmt.Sprintf("ratio %.2f", f.Ratio))
	}
	if f.Verified > 0 {
		parts = append(parts, fmt.Sprintf("%d verified, none lost or doubled", f.Verified))
	}
	if len(f.Failed) > 0 {
		var codes []string
		for _, code := range slices.Sorted(maps.Keys(f.Failed)) {
			codes = append(codes, fmt.Sprintf("%s %d", code, f.Failed[code]))
		}
		parts = append(parts, "tried again: "+strings.Join(codes, ", "))
	}
	if f.Note != "" {
		parts = append(parts, f.Note)
	}
	return strings.Join(parts, "; ")
}

// save writes what there is of a scenario to a file.
func (r *report) save(scenario string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == "" {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	var some []figures
	for _, f := range r.all {
		if f.Scenario == scenario {
			some = append(some, f)
		}
	}
	return save(r.dir, scenario, some)
}
