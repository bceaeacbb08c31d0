package file

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// waits is generous: these tests also run on busy machines.
const waits = 20 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// calm waits until nothing is told any more.
func calm(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-time.After(3 * settle):
			return
		}
	}
}

func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	must(t, os.Mkdir(dir, 0o755))
	path, d := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "policy.d")
	ctx, stop := context.WithCancel(t.Context())
	changed, err := Source{Path: path}.Watch(ctx)
	must(t, err)
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"written", func() { put(t, path, "limit: 9m") }},
		{"written again", func() { put(t, path, "limit: 90m") }},
		{"renamed over", func() {
			put(t, filepath.Join(dir, "..", "next"), "limit: 8m")
			must(t, os.Rename(filepath.Join(dir, "..", "next"), path))
		}},
		{"policy.d made", func() { must(t, os.Mkdir(d, 0o755)) }},
		{"file added", func() { put(t, filepath.Join(d, "10.yaml"), "limit: 7m") }},
		{"file changed", func() { put(t, filepath.Join(d, "10.yaml"), "limit: 6m 1s") }},
		{"file removed", func() { must(t, os.Remove(filepath.Join(d, "10.yaml"))) }},
		{"policy removed", func() { must(t, os.Remove(path)) }},
	} {
		calm(changed)
		step.do()
		select {
		case _, open := <-changed:
			if !open {
				t.Fatalf("%s: the channel is closed", step.what)
			}
		case <-time.After(waits):
			t.Fatalf("%s: not told", step.what)
		}
	}
	stop()
	for end := time.After(waits); ; {
		select {
		case _, open := <-changed:
			if !open {
				return
			}
		case <-end:
			t.Fatal("the channel is open after the end")
		}
	}
}
