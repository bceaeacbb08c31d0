package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepaway/link"
)

// TestPolicyOfTheCollector: what the agent wrote down, or a file that was named, becomes the client's options.
func TestPolicyOfTheCollector(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "run", "link.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &running{state: state(dir), link: socket, runtime: filepath.Dir(socket), log: slog.New(slog.DiscardHandler)}
	if o, err := r.fromPolicy(); err != nil || o.URL != "" || o.Proxy != "" || o.Roots != nil {
		t.Errorf("no policy: %+v, %v", o, err)
	}
	said := link.Collector{URL: "https://c.example:1", Proxy: "http://p.example:3128"}
	if err := said.Save(link.CollectorFile(filepath.Dir(socket))); err != nil {
		t.Fatal(err)
	}
	if o, err := r.fromPolicy(); err != nil || o.URL != said.URL || o.Proxy != said.Proxy || o.Roots != nil {
		t.Errorf("%+v, %v", o, err)
	}
	r.policy = filepath.Join(dir, "policy.yaml")
	text := "collector: {url: 'https://d.example:2', proxy: 'https://q.example:8080', ca: '" + filepath.Join(dir, "none.pem") + "'}\n"
	if err := os.WriteFile(r.policy, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if o, err := r.fromPolicy(); err == nil || !strings.Contains(err.Error(), "none.pem") || o.Proxy != "https://q.example:8080" {
		t.Errorf("a CA that is not there: %+v, %v", o, err)
	}
}
