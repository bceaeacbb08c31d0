package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// TestGroup runs what a file says: a sink whose CA comes later takes part then, and what is noted can be read.
func TestGroup(t *testing.T) {
	noLeaks(t)
	s := newSite(t)
	r := &repository{}
	url := s.serve(nil, r.ServeHTTP)
	check(t, os.WriteFile(s.path("sinks.yaml"), fmt.Appendf(nil,
		"sinks:\n- {name: a, kind: fhir, url: '%[1]s/r4', ca: %[2]s/ca.pem}\n- {name: b, kind: fhir, url: '%[1]s/r4', ca: %[2]s/late.pem, form: single}\n", url, s.dir), 0o600))
	specs, err := Load(s.path("sinks.yaml"))
	check(t, err)
	sources := map[string]*memory{"a": {}, "b": {}}
	for i, m := range []*memory{sources["a"], sources["b"]} {
		m.add(entriesTo(40)[i*20 : i*20+20]...)
	}
	said := &text{}
	g := NewGroup(specs, func(s Spec) Source { return sources[s.Name] }, s.path("status.json"),
		Options{Log: slog.New(slog.NewTextHandler(said, nil)), RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "a has everything, b has no CA, both noted", func() bool {
		h, err := Heard(s.path("status.json"))
		return err == nil && h.Of("a") != nil && h.Of("a").Sent == 20 && h.Of("b").Code == "config"
	})
	body, err := os.ReadFile(s.path("ca.pem"))
	check(t, err)
	check(t, os.WriteFile(s.path("late.pem"), body, 0o600))
	eventually(t, "b has everything", sources["b"].done)
	sources["a"].add(entriesTo(41)[40])
	g.Wake()
	eventually(t, "a has one more", sources["a"].done)
	if h, err := Heard(s.path("none.json")); err != nil || h.Of("a") != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestLoad(t *testing.T) {
	s := newSite(t)
	if _, err := Load(s.path("none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	path := s.path("sinks.yaml")
	check(t, os.WriteFile(path, []byte(whole), 0o666))
	check(t, os.Chmod(path, 0o666))
	if _, err := Load(path); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("a file that all may write: %v", err)
	}
	check(t, os.Chmod(path, 0o644))
	if specs, err := Load(path); err != nil || len(specs) != 4 {
		t.Errorf("%v", err)
	}
	var out strings.Builder
	if err := CheckFile(&out, path, true); err == nil || !strings.Contains(out.String(), `"ok":false`) || !strings.Contains(out.String(), `"line":6,"column":7,"sink":"siem","key":"ca"`) {
		t.Errorf("%v, %s", err, out.String())
	}
	out.Reset()
	if err := CheckFile(&out, path, false); err == nil || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("%v, %s", err, out.String())
	}
}

// TestCanary: what is planted in the surroundings of the process is in nothing that goes out.
func TestCanary(t *testing.T) {
	const canary = "canary-4711"
	t.Setenv("STEPAWAY_CANARY", canary)
	t.Setenv("USER", canary)
	t.Setenv("HOSTNAME", canary)
	os.Args = append(os.Args, canary)
	defer func() { os.Args = os.Args[:len(os.Args)-1] }()
	s := newSite(t)
	r := &repository{}
	for _, form := range []string{Batch, Single} {
		check(t, s.open(s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4", "form: "+form)).Send(context.Background(), entriesTo(60)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	everything := r.body + fmt.Sprint(r.header) + string(framesOf(entriesTo(60)))
	for _, never := range []string{canary, s.dir, "/home", "geheim"} {
		if strings.Contains(everything, never) {
			t.Errorf("%s went out", never)
		}
	}
	if got := len(r.header); got > 8 {
		t.Errorf("headers that nobody asked for: %v", r.header)
	}
}
