//go:build linux

// Fleet plays the workstations of a hospital against real collectors: thousands of devices, each with a certificate and
// a connection of its own, that send with the courier's own code. It measures, and it fails if an event is lost or
// doubled.
//
// Failure rules: at the end of each scenario the collector's own `verify` and `devices` must name exactly what the
// devices had to say, no more and no less, by number and by hash. Anything else ends with exit status 1, and so does a
// device that came again sooner than it was asked to. What it starts ends with it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stepaway/test/postgres"
)

func main() {
	o := options{out: "out/fleet", work: os.TempDir()}
	flag.IntVar(&o.devices, "devices", fromEnvironment("FLEET", 2000), "workstations, at most 20000")
	flag.StringVar(&o.only, "only", "ratio,steady,rough,kill,storm", "scenarios to play")
	flag.StringVar(&o.stores, "stores", "sqlite,postgres", "stores to play them on")
	flag.StringVar(&o.out, "out", o.out, "`directory` for the results as JSON")
	flag.StringVar(&o.work, "work", o.work, "`directory` on the disk that the stores lie on")
	flag.StringVar(&o.programs, "programs", "", "`directory` with stepaway-collector and fleet-bare; made there if empty")
	flag.StringVar(&o.profile, "profile", "", "`directory` for profiles of the collector in the scenario ratio, all of whose collectors are then the bare one")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of the scenario ratio, of which the median counts")
	flag.IntVar(&o.kills, "kills", 5, "how often the one collector on SQLite is killed")
	flag.DurationVar(&o.span, "span", 12*time.Second, "how long steady and each half of rough last")
	flag.Parse()
	debug.SetGCPercent(30) // 20,000 workstations and the collector share one machine's memory
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := play(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func fromEnvironment(name string, other int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return other
}

// options of a run.
type options struct {
	devices             int
	only, stores        string
	out, work, programs string
	profile             string
	rounds, kills       int
	span                time.Duration
}

// run is what the scenarios share.
type run struct {
	options
	dir    string           // of the run
	keys   string           // of the devices, in memory where that can be: a fleet has as many disks
	server *postgres.Server // nil until one is needed
	fleets map[string]*fleet
	say    *report
}

// scenarios by name, in the order they are played.
var scenarios = []struct {
	name string
	play func(*run, context.Context, string) error
}{
	{"steady", (*run).steady}, {"rough", (*run).rough}, {"kill", (*run).kill}, {"busy", (*run).busy}, {"storm", (*run).storm},
}

func play(ctx context.Context, o options, out *os.File) error {
	if o.devices < 1 || o.devices > 20_000 {
		return fmt.Errorf("%d devices: want 1 to 20000", o.devices)
	}
	r := &run{options: o, fleets: map[string]*fleet{}, say: &report{dir: o.out, out: out}}
	if err := r.prepare(); err != nil {
		return err
	}
	defer r.end()
	fmt.Fprintf(out, "%s %s, %d processors, %s, %d devices; devices, collectors and databases share them\n", runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), time.Now().Format(time.DateOnly), o.devices)
	if strings.Contains(o.only, "ratio") {
		if err := r.ratio(ctx); err != nil {
			return fmt.Errorf("ratio: %w", err)
		}
	}
	for _, s := range scenarios {
		if !strings.Contains(o.only, s.name) {
			continue
		}
		for store := range strings.SplitSeq(o.stores, ",") {
			if err := s.play(r, ctx, store); err != nil {
				return fmt.Errorf("%s on %s: %w", s.name, store, err)
			}
		}
		if err := r.say.save(s.name); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the directory of the run, and the programs.
func (r *run) prepare() (err error) {
	if r.dir, err = os.MkdirTemp(r.work, "fleet"); err != nil {
		return err
	}
	if r.keys, err = os.MkdirTemp("/dev/shm", "fleet"); err != nil {
		r.keys = r.dir
	}
	if r.programs != "" {
		return nil
	}
	r.programs = r.dir
	return buildPrograms(r.dir)
}

// buildPrograms makes the collector as it is shipped, and the bare one.
func buildPrograms(dir string) error {
	for _, args := range [][]string{
		{"-o", filepath.Join(dir, "stepaway-collector"), "stepaway/cmd/collector"},
		{"-tags", "storeless", "-o", filepath.Join(dir, "fleet-bare"), "stepaway/test/fleet/bare"},
	} {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	return nil
}

func (r *run) end() {
	for _, f := range r.fleets {
		f.site.stop()
	}
	if r.server != nil {
		r.server.Stop()
	}
	_ = os.RemoveAll(r.keys)
	_ = os.RemoveAll(r.dir)
}

// fleet answers the devices that are enrolled at the site with a store, and makes both at first.
func (r *run) fleet(ctx context.Context, store string) (*fleet, error) {
	if f := r.fleets[store]; f != nil {
		return f, nil
	}
	s, err := r.newSite(store)
	if err != nil {
		return nil, err
	}
	f := &fleet{site: s, keys: filepath.Join(r.keys, store)}
	r.fleets[store] = f
	return f, f.enroll(ctx, r.devices, r.say)
}

// save writes what was measured to a file.
func save(dir, name string, results any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	body, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), append(body, '\n'), 0o644)
}
