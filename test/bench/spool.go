//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// appendCost is one line of the spool's own benchmarks.
type appendCost struct {
	Name    string             `json:"name"`
	Figures map[string]float64 `json:"figures"` // by unit, such as p50-ratio
}

// spoolReport runs the spool's own benchmarks: appends to the spool and to a plain file with fdatasync, and weeks offline.
func spoolReport(out string) (bad int) {
	fmt.Println("\nDurable append: the spool against a plain file with fdatasync ...")
	results, err := spoolBench("Append", "3s")
	if err != nil {
		fmt.Println("NOT MEASURED:", err)
		return 1
	}
	t := table("append\tp50 µs\tfile p50 µs\tratio\tp99 µs\tfile p99 µs\tratio")
	for _, r := range results {
		f := r.Figures
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%.2f\n", r.Name, f["spool-p50-µs"], f["file-p50-µs"], f["p50-ratio"],
			f["spool-p99-µs"], f["file-p99-µs"], f["p99-ratio"])
	}
	t.Flush()
	fmt.Println("\nA spool after weeks offline: a million events ...")
	weeks, err := spoolBench("Weeks", "1x")
	if err != nil {
		fmt.Println("NOT MEASURED:", err)
		return 1
	}
	t = table("written/s\topened in s, checked\tdrained/s\tfile MB\tdrained kB")
	for _, r := range weeks {
		f := r.Figures
		fmt.Fprintf(t, "%.0f\t%.1f\t%.0f\t%.0f\t%.0f\n", f["written/s"], f["open-s"], f["drained/s"], f["full-MB"], f["drained-kB"])
	}
	t.Flush()
	return save(out, "spool", append(results, weeks...))
}

// spoolBench runs one benchmark of ./spool.
func spoolBench(name, span string) ([]appendCost, error) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark"+name+"$", "-benchtime", span, "./spool")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go test -bench %s in ./spool: %w\n%s", name, err, b.String())
	}
	results := benchLines(b.String())
	if len(results) == 0 {
		return nil, fmt.Errorf("./spool has no benchmark called %s", name)
	}
	return results, nil
}

// storeReport runs the collector's own benchmark: couriers over mutual TLS into SQLite, into PostgreSQL and into nothing.
func storeReport(out string) (bad int) {
	fmt.Println("\nCollector: devices empty their spools into each store, and into none, on the same processors ...")
	cmd := exec.Command("go", "test", "-tags", "storeless", "-run", "^$", "-bench", "^BenchmarkStores$", "-benchtime", "1x", "./collector")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Printf("NOT MEASURED: go test -bench in ./collector: %v\n%s", err, b.String())
		return 1
	}
	results := benchLines(b.String())
	if len(results) != 1 {
		fmt.Println("NOT MEASURED: ./collector has no benchmark called Stores")
		return 1
	}
	f := results[0].Figures
	t := table("store\tevents/s\tof none\tbatch p50 ms\tp99 ms")
	for _, name := range []string{"none", "sqlite", "postgres"} {
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.0f\t%.0f\n", name, f[name+"-events/s"], f[name+"-ratio"], f[name+"-p50-ms"], f[name+"-p99-ms"])
	}
	t.Flush()
	return save(out, "store", results)
}

// benchLines reads the lines that `go test -bench` prints.
func benchLines(text string) (list []appendCost) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		r := appendCost{Name: strings.TrimPrefix(f[0], "Benchmark"), Figures: map[string]float64{}}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				r.Figures[f[i+1]] = v
			}
		}
		list = append(list, r)
	}
	return list
}
