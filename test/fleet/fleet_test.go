//go:build linux

package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// built are the collector's programs, made once.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // they wait more than they work
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// newRun is a small run, of which all is gone at the end of the test.
func newRun(t *testing.T, devices int) (*run, context.Context) {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "fleet"); built.err == nil {
			built.err = buildPrograms(built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	r := &run{fleets: map[string]*fleet{}, say: &report{out: io.Discard}, options: options{devices: devices, stores: "sqlite,postgres",
		work: t.TempDir(), programs: built.dir, rounds: 1, kills: 2, span: 3 * time.Second}}
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	return r, ctx
}

// lines of one scenario.
func (r *run) lines(scenario string) (some []figures) {
	for _, f := range r.say.all {
		if f.Scenario == scenario {
			some = append(some, f)
		}
	}
	return some
}

var both = []string{"sqlite", "postgres"}

// TestFleet plays a small fleet against real collectors on each store: nothing is lost or doubled, and good devices are
// served beside broken and slow ones.
func TestFleet(t *testing.T) {
	t.Parallel()
	for _, store := range both {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			r, ctx := newRun(t, 50)
			if err := r.steady(ctx, store); err != nil {
				t.Fatalf("steady: %v", err)
			}
			if l := r.lines("steady"); l[0].Events == 0 || l[0].Verified != l[0].Events || l[0].Handshakes == 0 {
				t.Errorf("steady: %+v", l)
			}
			f, err := r.fleet(ctx, store)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.roughAt(ctx, f, 10, 2*len(misdeeds), 20); err != nil {
				t.Fatalf("rough: %v", err)
			}
			for i, l := range r.lines("rough") {
				if l.Events < 10*roughBatch || l.Busy > 0 {
					t.Errorf("rough %s: %+v", l.Part, l)
				}
				if i == 1 && strings.Contains(l.Note, " 0,") {
					t.Errorf("not every misdeed was done: %s", l.Note)
				}
			}
			if err := r.killAt(ctx, f, 30, 2*week); err != nil {
				t.Fatalf("kill: %v", err)
			}
			if l := r.lines("kill")[0]; l.Failed["unreachable"] == 0 {
				t.Errorf("nobody noticed that a collector was killed: %+v", l)
			}
		})
	}
}

// TestComeAgain: devices that are told to come again do so, not sooner than they were told, and everything arrives.
func TestComeAgain(t *testing.T) {
	t.Parallel()
	for _, store := range both {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			r, ctx := newRun(t, 290)
			if err := r.busy(ctx, store); err != nil {
				t.Fatal(err)
			}
			l := r.lines("busy")[0]
			if l.Busy == 0 || l.Early > 0 || l.Verified < 290*10 {
				t.Errorf("%+v", l)
			}
			t.Logf("%d of %d devices were told to come again", l.Busy, l.Devices)
		})
	}
}

// TestRatio: the load is the same with a store and with none, and the store has all of it.
func TestRatio(t *testing.T) {
	t.Parallel()
	r, ctx := newRun(t, 20)
	r.say.dir = t.TempDir()
	if err := r.ratio(ctx); err != nil {
		t.Fatal(err)
	}
	ls := r.lines("ratio")
	if len(ls) != 3 || ls[0].Store != "none" {
		t.Fatalf("%+v", ls)
	}
	for _, l := range ls {
		if l.Events != 20*week || l.Store != "none" && l.Verified != l.Events {
			t.Errorf("%s: %d events, %d verified", l.Store, l.Events, l.Verified)
		}
	}
	if _, err := os.Stat(filepath.Join(r.say.dir, "ratio.json")); err != nil {
		t.Error(err)
	}
}

// TestSettleNotices: events that are missing, more or other than what was said are noticed.
func TestSettleNotices(t *testing.T) {
	t.Parallel()
	r, ctx := newRun(t, 2)
	f, err := r.fleet(ctx, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	v, err := f.site.serve(f.site.data, "")
	if err != nil {
		t.Fatal(err)
	}
	m := f.members[0]
	b := m.say(5, weekBatch)
	if err := m.catchUp(ctx, v); err != nil {
		t.Fatal(err)
	}
	if n, err := f.settle(); n != 5 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	good := b.pos
	for name, spoil := range map[string]func(){
		"more was said":     func() { b.pos.Head, b.pos.Acked = 6, 6 },
		"less was said":     func() { b.pos.Head, b.pos.Acked = 4, 4 },
		"something else":    func() { b.pos.AckedHash = strings.Repeat("0", 64) },
		"not yet delivered": func() { b.pos.Head = 6 },
		"never said":        func() { delete(m.said, b.epoch) },
		"another was said":  func() { f.members[1].say(1, 1).pos.Acked = 1 },
	} {
		spoil()
		if _, err := f.settle(); err == nil {
			t.Errorf("%s: not noticed", name)
		}
		b.pos, m.said[b.epoch], f.members[1].said = good, b, map[string]*backlog{}
	}
	if err := f.site.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestNoStorelessProgramIsShipped: the store that keeps nothing is in no build without its tag.
func TestNoStorelessProgramIsShipped(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .GoFiles " "}}`, "stepaway/collector").Output()
	if err != nil || !strings.Contains(string(out), "store.go") || strings.Contains(string(out), "storeless.go") {
		t.Errorf("%v: %s", err, out)
	}
	if err := exec.Command("go", "build", "-o", os.DevNull, "stepaway/test/fleet/bare").Run(); err == nil {
		t.Error("the bare collector can be built without its tag")
	}
	for _, file := range []string{"Makefile", "packaging/packaging.go"} {
		body, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(body), "storeless") {
			t.Errorf("%s names the tag storeless", file)
		}
	}
}
