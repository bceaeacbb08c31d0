package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stepaway/enforce"
)

// TestStoreWritesWhatChanged: what is there already is not written again, what is new and what failed before is.
func TestStoreWritesWhatChanged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "input.json")
	save := func(s *store, last time.Duration) {
		s.Save(enforce.Saved{Boot: "b", Sessions: map[string]enforce.Instant{"1": last}})
		for len(s.next) > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	s := newStore(path, slog.New(slog.DiscardHandler))
	save(s, 1) // fails: there is no directory
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	save(s, 1)
	s.Close()
	if got := s.Load().Sessions["1"]; got != 1 {
		t.Fatalf("after a write that failed: %v", got)
	}

	s = newStore(path, slog.New(slog.DiscardHandler))
	save(s, 2)
	s.next <- enforce.Saved{Boot: "b", Sessions: map[string]enforce.Instant{"1": 2}} // the one before is written by now or goes first
	for len(s.next) > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	save(s, 2)
	time.Sleep(50 * time.Millisecond)
	if _, err := os.Stat(path); err == nil {
		t.Error("written again, and nothing had changed")
	}
	save(s, 3)
	s.Close()
	if got := s.Load().Sessions["1"]; got != 3 {
		t.Errorf("after a change: %v", got)
	}
}
