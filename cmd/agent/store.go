package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"reflect"

	"stepaway/durable"
	"stepaway/enforce"
)

// store keeps what must survive a restart of the enforcer in a file that only its owner reads. It lives in
// the runtime directory, which is memory and goes with the boot.
type store struct {
	path string
	log  *slog.Logger
	next chan enforce.Saved
	done chan struct{}
}

func newStore(path string, log *slog.Logger) *store {
	s := &store{path: path, log: log, next: make(chan enforce.Saved, 1), done: make(chan struct{})}
	go s.write()
	return s
}

// Load gives what the run before left; nothing where there is nothing usable.
func (s *store) Load() enforce.Saved {
	var out enforce.Saved
	b, err := os.ReadFile(s.path)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("last input not read; limits start at first sight", "error", err)
		return enforce.Saved{}
	}
	return out
}

// Save keeps the newest; it never waits for the file.
func (s *store) Save(v enforce.Saved) {
	for {
		select {
		case s.next <- v:
			return
		default:
		}
		select {
		case <-s.next:
		default:
		}
	}
}

// Close writes what is left.
func (s *store) Close() {
	close(s.next)
	<-s.done
}

// write leaves the disk alone where nothing has changed since it was last written.
func (s *store) write() {
	defer close(s.done)
	var there enforce.Saved
	for v := range s.next {
		if reflect.DeepEqual(v, there) {
			continue
		}
		if err := s.replace(v); err != nil {
			s.log.Error("last input not saved; a restart would use an older one", "error", err)
			v = enforce.Saved{}
		}
		there = v
	}
}

func (s *store) replace(v enforce.Saved) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode last input: %w", err)
	}
	return durable.Write(s.path, b, 0o600)
}
