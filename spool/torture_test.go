package spool

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
)

// torture asks for the long run: `make torture`.
var torture = flag.Bool("torture", false, "kill, cut and damage for hours instead of seconds")

// times is how often a test does what it does, in `make test` and in `make torture`.
func times(short, long int) int {
	if *torture {
		return long
	}
	return short
}

// longestLife is how many lines a child may tell of its work.
const longestLife = 600

// progress prints a line now and then in the long run.
func progress(t *testing.T, done, of int) {
	if *torture && done > 0 && done%(max(of/20, 1)) == 0 {
		t.Logf("%d of %d", done, of)
	}
}

// worker is a child that uses a spool as the courier does: one goroutine appends, the other reads and acknowledges. It says
// on its output what it does, before or after as the ledger needs it.
type worker struct {
	s           *Spool
	dir         string
	compactOver int64
	out         sync.Mutex
	unsafe      bool // without syncs, and without compaction, which syncs
	stubborn    bool // what fails is tried again
}

// do does a step, again and again where the worker is stubborn.
func (w *worker) do(step func() error) error {
	if w.stubborn {
		return w.try(step)
	}
	return step()
}

// tell writes one line at once, so that a line is whole or not there.
func (w *worker) tell(format string, a ...any) {
	w.out.Lock()
	defer w.out.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", a...)
}

// announce tells something before it is done, and goes on when that has been taken down.
func (w *worker) announce(format string, a ...any) error {
	w.tell(format, a...)
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}

// asWorker runs in a child: verb is what it does after it has told what is in the spool.
func asWorker(verb, dir string) error {
	w := &worker{dir: dir, compactOver: compactSoon, unsafe: verb == asUnsafe, stubborn: verb == asStubborn}
	if w.unsafe {
		w.compactOver = 1 << 40
	}
	if err := w.do(w.open); err != nil {
		return err
	}
	switch verb {
	case asOpener:
		return w.announce("opened")
	case asLooker:
		_, _, err := w.s.Append(events("00ff", 1, 3))
		return err
	}
	if w.unsafe {
		w.s.db.NoSync = true
	}
	failed := make(chan error)
	go func() { failed <- w.append() }()
	go func() { failed <- w.acknowledge() }()
	return <-failed
}

// open opens the spool and tells everything that waits.
func (w *worker) open() error {
	s, r, err := Open(w.dir, Options{CompactOver: w.compactOver})
	if err != nil {
		return err
	}
	w.s = s
	w.tell("open %s %d %d code=%s", r.Epoch, r.Head, r.Acked, r.Code)
	rs, err := s.Next(r.Acked, 1<<20, 1<<30)
	if err != nil {
		return err
	}
	for _, rec := range rs {
		what, err := name(rec)
		if err != nil {
			return err
		}
		w.tell("has %d %s %s", rec.Seq, rec.Hash, what)
	}
	w.tell("end")
	return nil
}

// name gives the run and number of a record of the enforcer's, and for one of the spool's own - and its type.
func name(r audit.Record) (string, error) {
	e, err := audit.Decode(r.Body)
	if err != nil || e.Run == "" {
		return "-" + string(e.Type), err
	}
	return fmt.Sprintf("%s/%d", e.Run, e.N), nil
}

func (w *worker) append() error {
	run := fmt.Sprintf("%016x", rand.Uint64())
	for n := uint64(1); ; {
		k := 1 + rand.Uint64N(4)
		err := w.do(func() error {
			_, _, err := w.s.Append(events(run, n, n+k-1))
			return err
		})
		if err != nil {
			return err
		}
		for ; k > 0; k, n = k-1, n+1 {
			w.tell("stored %s/%d", run, n)
		}
		if w.unsafe || w.waiting() > 60 || rand.IntN(50) == 0 {
			w.rest()
		}
	}
}

// waiting is how many events are not acknowledged.
func (w *worker) waiting() uint64 {
	st := w.s.State()
	return st.Head - st.Acked
}

// rest lets the other side catch up: sometimes by all there is, which is when a file is compacted.
func (w *worker) rest() {
	time.Sleep(time.Millisecond)
	for most := 60 * rand.Uint64N(2); w.waiting() > most && !w.unsafe; {
		time.Sleep(time.Millisecond)
	}
}

func (w *worker) acknowledge() error {
	file := w.file()
	for {
		time.Sleep(rand.N(4 * time.Millisecond))
		if err := w.do(func() error { return w.ack(1 + rand.IntN(80)) }); err != nil {
			return err
		}
		if now := w.file(); now != file {
			file = now
			w.tell("compacted")
		}
		if rand.IntN(30) == 0 {
			if err := w.do(w.fork); err != nil {
				return err
			}
		}
	}
}

// file is what the spool has open: another one after it was compacted.
func (w *worker) file() *bolt.DB {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	return w.s.db
}

// ack acknowledges at most n events.
func (w *worker) ack(n int) error {
	st := w.s.State()
	rs, err := w.s.Next(st.Acked, n, 1<<20)
	if err != nil || len(rs) == 0 {
		return err
	}
	r := rs[len(rs)-1]
	what, err := name(r)
	if err == nil {
		err = w.announce("ask %s %d %s %s", st.Epoch, r.Seq, r.Hash, what)
	}
	if err == nil {
		err = w.s.Ack(r.Seq, r.Hash, "proof")
	}
	if err == nil {
		w.tell("acked %s", what)
	}
	return err
}

func (w *worker) fork() error {
	err := w.announce("fork")
	if err == nil {
		err = w.s.Fork("fork")
	}
	if err == nil {
		w.tell("forked %s", w.s.State().Epoch)
	}
	return err
}

// try repeats a step until it succeeds, at most a hundred times.
func (w *worker) try(step func() error) (err error) {
	for range 100 {
		if err = step(); err == nil {
			return nil
		}
		w.tell("error %q", err)
		if errors.Is(err, ErrDamaged) && w.s != nil {
			w.s.Close()
			if err := w.try(w.open); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
	return fmt.Errorf("a hundred times: %w", err)
}

// child is a started worker, whose lines are given to line as they come.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startWorker(t *testing.T, verb, dir string, line func(string)) *child {
	t.Helper()
	c := &child{cmd: asChild(t, verb, dir), done: make(chan struct{})}
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	in, err := c.cmd.StdinPipe()
	must(t, err)
	c.cmd.Stderr = os.Stderr
	must(t, c.cmd.Start())
	go func() {
		defer close(c.done)
		read(out, func(text string) {
			line(text)
			if strings.HasPrefix(text, "ask ") || text == "fork" {
				_, _ = in.Write([]byte{'\n'})
			}
		})
	}()
	return c
}

// read hands over whole lines only.
func read(r io.Reader, line func(string)) {
	for b := bufio.NewReader(r); ; {
		text, err := b.ReadString('\n')
		if err != nil {
			return
		}
		line(strings.TrimSuffix(text, "\n"))
	}
}

// kill ends the child at once.
func (c *child) kill(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Kill())
	<-c.done
	c.cmd.Wait()
}
