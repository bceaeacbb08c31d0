//go:build linux

// Bench measures Stepaway beside the programs that lock idle desktops today, in one run on one machine: how late
// each locks, what each costs, and what keeping records durably costs against a plain file.
//
// Failure rules: what cannot run here is said in the table and in the files, never left out. A run in which
// one of our own programs cannot be measured ends with exit status 1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "stamp" {
		exit(leaveStamp(os.Args[2]))
	}
	bin := flag.String("bin", "bin", "directory of our programs")
	out := flag.String("out", "out/bench", "directory for the results as JSON")
	minutes := flag.Float64("minutes", minutesFromEnvironment(), "minutes without input, and as many with input")
	deadlines := flag.Int("deadlines", 200, "deadlines to measure of each program")
	others := flag.Bool("others", false, "measure the other programs only")
	only := flag.String("only", "late,cost,spool,store", "what to measure")
	flag.Parse()
	b := bench{out: *out, deadlines: max(*deadlines, 1), span: time.Duration(*minutes * float64(time.Minute))}
	exit(b.run(*bin, *only, *others))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// minutesFromEnvironment reads BENCH_MINUTES, 1 where it is not a number.
func minutesFromEnvironment() float64 {
	if m, err := strconv.ParseFloat(os.Getenv("BENCH_MINUTES"), 64); err == nil && m > 0 {
		return m
	}
	return 1
}

// bench is one run.
type bench struct {
	base, stamp string // directory of the run, and the locker in it
	out         string
	deadlines   int
	span        time.Duration
}

func (b *bench) run(bin, only string, others bool) error {
	if err := b.prepare(); err != nil {
		return err
	}
	defer os.RemoveAll(b.base)
	late, costly := peers(), peers()
	if !others {
		lean, full, err := contestants(bin, b.base)
		if err != nil {
			return err
		}
		late, costly = append([]contender{lean}, late...), append([]contender{full}, costly...)
	}
	fmt.Printf("%s %s, %d processors, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().Format(time.DateOnly))
	bad := 0
	if strings.Contains(only, "late") {
		bad += b.lateReport(late)
	}
	if strings.Contains(only, "cost") {
		bad += b.costReport(costly)
	}
	if strings.Contains(only, "spool") {
		bad += spoolReport(b.out)
	}
	if strings.Contains(only, "store") {
		bad += storeReport(b.out)
	}
	if bad > 0 {
		return fmt.Errorf("%d of our own figures could not be measured", bad)
	}
	return nil
}

func (b *bench) prepare() (err error) {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if b.base, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	if err := os.Chmod(b.base, 0o711); err != nil { // nobody, who runs sway, has to reach his directory
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b.stamp = filepath.Join(b.base, "stamp")
	return copyProgram(self, b.stamp)
}

// contestants are our own programs: the agent without its tray for many deadlines at once, and all of them on a
// whole desktop for what they cost.
func contestants(bin, base string) (lean, full contender, err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return lean, full, err
	}
	dir, err := leanPrograms(bin, base)
	if err != nil {
		return lean, full, err
	}
	lean, full = ours(dir), ours(bin)
	full.open = func(path string) (screen, error) { return newX(path, true) }
	return lean, full, nil
}

// leanPrograms makes a directory with the programs that lock and record, without the tray.
func leanPrograms(bin, base string) (dir string, err error) {
	dir = filepath.Join(base, "lean")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"stepaway-agent", "stepaway-courier"} {
		if err := copyProgram(filepath.Join(bin, name), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: run `make build`", err)
	}
	defer in.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// lateReport measures all contenders at the same time.
func (b *bench) lateReport(cs []contender) (bad int) {
	fmt.Println("\nLateness of the lock: from last input + limit to the locker's first instruction. Some minutes ...")
	each := make([][]lateness, len(cs))
	var group sync.WaitGroup
	for i, c := range cs {
		group.Go(func() {
			each[i] = measureLateness(c, b.deadlines, b.base, b.stamp)
			fmt.Printf("  %s: %d deadlines measured\n", c.name, each[i][0].Deadlines)
		})
	}
	group.Wait()
	results := slices.Concat(each...)
	t := table("program\tlimit\tdeadlines\tmissed\tmin ms\tp50 ms\tp99 ms\tmax ms\tnote")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%gs\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%s\n", r.Name, r.LimitS, r.Deadlines, r.Missed, r.Min, r.P50, r.P99, r.Max, remark(r.Note, r.Error))
		if strings.HasPrefix(r.Name, "stepaway") && (r.Error != "" || r.Deadlines == 0) {
			bad++
		}
	}
	t.Flush()
	return bad + save(b.out, "lateness", results)
}

func (b *bench) costReport(cs []contender) (bad int) {
	fmt.Printf("\nCost: %v without input, then %v with input ten times a second, all at the same time ...\n", b.span, b.span)
	results := measureCosts(cs, b.base, b.stamp, b.span)
	t := table("program\tphase\tresident kB\tcontext switches/min\tCPU ms/min\tnote")
	for _, c := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.1f\t%s\n", c.Name, c.Phase, c.RSSKB, c.Switches, c.CPUMS, remark("", c.Error))
		if strings.HasPrefix(c.Name, "stepaway") && c.Error != "" {
			bad++
		}
	}
	t.Flush()
	return bad + save(b.out, "cost", results)
}

func table(heads string) *tabwriter.Writer {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, heads)
	return t
}

// remark is a note, or the first line of what went wrong.
func remark(note, problem string) string {
	if problem == "" {
		return note
	}
	line, _, _ := strings.Cut(problem, "\n")
	return "NOT MEASURED IN FULL: " + line
}

// save writes results to a file; 1 where it cannot.
func save(out, name string, results any) int {
	b, err := json.MarshalIndent(results, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(out, name+".json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}
