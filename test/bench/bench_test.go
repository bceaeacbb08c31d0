//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/test/desktop"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 0, 101)
	for i := range 101 {
		hundred = append(hundred, float64(i))
	}
	for _, c := range []struct {
		samples []float64
		q, want float64
	}{{nil, 0.5, 0}, {[]float64{7}, 0.99, 7}, {hundred, 0.5, 50}, {hundred, 0.99, 99}} {
		if got := quantile(c.samples, c.q); got != c.want {
			t.Errorf("quantile(%d samples, %g) = %g, want %g", len(c.samples), c.q, got, c.want)
		}
	}
}

func TestSummarizeCountsTheMissed(t *testing.T) {
	r := summarize([]float64{15000, 3, -1, 4})
	if r.Missed != 1 || r.Min != -1 || r.Max != 15000 || r.Deadlines != 4 {
		t.Errorf("got %+v", r)
	}
}

func TestStampIsReadBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stamps")
	if _, ok := lastStamp(file); ok {
		t.Error("a stamp where there is no file")
	}
	before := clock.Now()
	for range 2 {
		if err := leaveStamp(file); err != nil {
			t.Fatal(err)
		}
	}
	if at, ok := lastStamp(file); !ok || at < before || at > clock.Now() {
		t.Errorf("got %v, %v", at, ok)
	}
}

func TestReadCountsWhatAProcessDoes(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r, err := read(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if r.cpuNS > 10e6 && resident(cmd.Process.Pid) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a busy process took %+v", r)
		}
	}
	if got := desktop.Descendants(os.Getpid()); len(got) == 0 {
		t.Error("no descendants, though one was started")
	}
	if _, err := read(1 << 30); err == nil {
		t.Error("read a process that is not there")
	}
}

func TestInputIsTaken(t *testing.T) {
	dir, err := os.MkdirTemp("", "bench") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := newX(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	where := func() string {
		out, err := s.command("xdotool", "getmouselocation").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	was, before := where(), clock.Now()
	at, err := s.input()
	if err != nil {
		t.Fatal(err)
	}
	if at < before || at > clock.Now() {
		t.Errorf("input at %v, not since %v", at, before)
	}
	if is := where(); is == was {
		t.Errorf("the pointer stayed at %s", is)
	}
}

func TestBenchLines(t *testing.T) {
	got := benchLines("goos: linux\nBenchmarkAppend/spool/1-2   \t  10\t  0.2 p50-ms\t 0.5 p99-ms\nPASS\n")
	if len(got) != 1 || got[0].Name != "Append/spool/1-2" || got[0].Figures["p99-ms"] != 0.5 {
		t.Errorf("got %+v", got)
	}
}
