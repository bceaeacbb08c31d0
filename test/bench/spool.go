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

// append1 is one line of the spool's own benchmark.
type appendCost struct {
	Name    string             `json:"name"`
	Figures map[string]float64 `json:"figures"` // by unit, such as p50-ms
}

// spoolReport runs the spool's own benchmark, which appends to the spool and to a plain file with fdatasync.
func spoolReport(out string) (bad int) {
	fmt.Println("\nDurable append: the spool against a plain file with fdatasync ...")
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Append", "-benchtime", "3s", "./spool")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Printf("NOT MEASURED: go test -bench in ./spool: %v\n%s", err, b.String())
		return 1
	}
	results := benchLines(b.String())
	if len(results) == 0 {
		fmt.Println("NOT MEASURED: ./spool has no benchmark called Append")
		return 1
	}
	for _, r := range results {
		fmt.Println(" ", r.Name, r.Figures)
	}
	return save(out, "spool", results)
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
