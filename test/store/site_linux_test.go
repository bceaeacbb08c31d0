// Package store tests whole collectors, as processes, on both of their stores, with the couriers' own loop and spool: killed
// under load, two on one database, and put back from a backup.
package store

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	"stepaway/courier"
	"stepaway/spool"
	pg "stepaway/test/postgres"
	"stepaway/uplink"
)

// kills is how often a collector is killed under load.
var kills = flag.Int("kills", 10, "how often a collector is killed under load")

var program string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "collector")
	if err == nil {
		program = filepath.Join(dir, "stepaway-collector")
		build := exec.Command("go", "build", "-o", program, "../../cmd/collector")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the collector:", err)
	} else {
		code = m.Run()
	}
	pg.EndShared()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience bounds every wait; generous, for a busy machine.
const patience = 2 * time.Minute

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// site is a collector's keys, its store, and its processes behind one address.
type site struct {
	t        *testing.T
	data     string // directory of keys
	address  string // of the store; "" is SQLite
	database string
	a        *collector.Authority
	front    *front
}

// onEach runs a test on each store.
func onEach(t *testing.T, f func(t *testing.T, s *site)) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) { f(t, newSite(t, engine)) })
	}
}

func newSite(t *testing.T, engine string) *site {
	t.Helper()
	s := &site{t: t, data: filepath.Join(t.TempDir(), "data")}
	if engine == "postgres" {
		s.address, s.database = pg.Fresh(t)
	}
	s.run("init")
	var err error
	s.a, err = collector.Load(s.data)
	must(t, err)
	s.front = newFront(t)
	return s
}

// args are those of a command on this site's store.
func (s *site) args(verb string, more ...string) []string {
	args := append([]string{verb, "--data", s.data}, more...)
	if s.address != "" {
		args = append(args, "--store", s.address)
	}
	return args
}

// run runs a command of the collector to its end and answers its standard output.
func (s *site) run(verb string, more ...string) string {
	s.t.Helper()
	out, err := s.try(verb, more...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) try(verb string, more ...string) (string, error) {
	cmd := exec.Command(program, s.args(verb, more...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", verb, err, stderr.String())
	}
	return string(out), err
}

// process is a collector that serves.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  string
	done chan struct{}
}

// serve starts a collector on this site's store and puts it behind the front.
func (s *site) serve() *process {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	p := &process{addr: l.Addr().String(), done: make(chan struct{})}
	l.Close()
	log, err := os.CreateTemp(s.t.TempDir(), "log")
	must(s.t, err)
	p.log = log.Name()
	p.cmd = exec.Command(program, s.args("serve", "--listen", p.addr)...)
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // the parent-death signal follows the thread, so that thread stays
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- p.cmd.Start()
		if p.cmd.Process != nil {
			_ = p.cmd.Wait()
		}
		log.Close()
		close(p.done)
	}()
	must(s.t, <-started)
	s.t.Cleanup(func() { p.kill() })
	eventually(s.t, "the collector", func() bool {
		select {
		case <-p.done:
			body, _ := os.ReadFile(p.log)
			s.t.Fatalf("the collector ended: %s", body)
		default:
		}
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	s.front.add(p.addr)
	return p
}

// kill ends a collector at once, as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop ends a collector in an orderly way.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
}

// front is one address for several collectors, as a load balancer is: connections go to each in turn.
type front struct {
	l    net.Listener
	mu   sync.Mutex
	to   []string
	next int
}

func newFront(t *testing.T) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &front{l: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.carry(c)
		}
	}()
	return f
}

func (f *front) url() string { return "https://" + f.l.Addr().String() }

func (f *front) add(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = append(f.to, addr)
}

func (f *front) remove(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, a := range f.to {
		if a == addr {
			f.to = append(f.to[:i:i], f.to[i+1:]...)
			return
		}
	}
}

func (f *front) carry(c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	if len(f.to) == 0 {
		f.mu.Unlock()
		return
	}
	f.next++
	addr := f.to[f.next%len(f.to)]
	f.mu.Unlock()
	b, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer b.Close()
	go func() { _, _ = io.Copy(b, c); b.Close() }()
	_, _ = io.Copy(c, b)
}

// device is one enrolled device: its spool, and what it was promised.
type device struct {
	name audit.Label
	dir  string

	mu       sync.Mutex
	appended int                   // events of the load
	acked    map[string]uplink.Ack // the last word for each epoch
	spool    *spool.Spool
}

func (s *site) enroll(name audit.Label) *device {
	s.t.Helper()
	text := strings.TrimSpace(s.run("token", "--url", s.front.url(), string(name)))
	token, err := uplink.ParseToken(text)
	must(s.t, err)
	d := &device{name: name, dir: s.t.TempDir(), acked: map[string]uplink.Ack{}}
	_, err = courier.Enroll(context.Background(), courier.EnrollOptions{Dir: d.identity(), URL: token.URL}, token)
	must(s.t, err)
	return d
}

func (d *device) identity() string { return filepath.Join(d.dir, "identity") }

// stamp makes the rest of an event.
func stamp(typ audit.Type) audit.Event {
	severity, _ := audit.SeverityOf(typ)
	return audit.Event{V: audit.Version, Type: typ, Severity: severity, Outcome: audit.Success, Wall: time.Now().UTC(), Agent: "v1"}
}

// witness is a client that remembers every acknowledgement before the courier acts on it.
type witness struct {
	*courier.Client
	d *device
}

func (w witness) Send(ctx context.Context, b uplink.Batch, sent []audit.Record) (uplink.Ack, error) {
	ack, err := w.Client.Send(ctx, b, sent)
	if err == nil && ack.Last > 0 {
		w.d.mu.Lock()
		if ack.Last > w.d.acked[ack.Epoch].Last {
			w.d.acked[ack.Epoch] = ack
		}
		w.d.mu.Unlock()
	}
	return ack, err
}

// queue gives the courier its spool.
type queue struct{ *spool.Spool }

func (q queue) Position() courier.Position {
	st := q.State()
	return courier.Position{Epoch: st.Epoch, Head: st.Head, Acked: st.Acked, AckedHash: st.AckedHash, Proof: st.Proof, Bytes: st.Bytes}
}

// start runs the device's courier and has it write events until ctx is done; then the courier goes on until stop.
func (d *device) start(t *testing.T, load context.Context, every time.Duration) (stop func()) {
	t.Helper()
	id, err := courier.LoadIdentity(d.identity())
	must(t, err)
	s, _, err := spool.Open(filepath.Join(d.dir, "spool"), spool.Options{Device: id.Device, Bound: id.Bound(), Stamp: stamp, Check: spool.Check})
	must(t, err)
	d.spool = s
	client, err := courier.NewClient(id, courier.ClientOptions{})
	must(t, err)
	c := courier.New(queue{s}, courier.Options{Device: id.Device, Stamp: stamp, Peer: witness{client, d}, Log: slog.New(slog.DiscardHandler),
		RetryMin: 20 * time.Millisecond, RetryMax: 300 * time.Millisecond, RefusedEvery: time.Second, DownAfter: time.Hour, ProbeEvery: 100 * time.Millisecond,
		Fatal: func(err error) bool { return errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrClosed) }})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
	})
	all.Go(func() {
		for load.Err() == nil {
			es := []audit.Event{stamp(audit.LockRequested), stamp(audit.LockProved)}
			if _, _, err := s.Append(es); err != nil {
				t.Errorf("%s: %v", d.name, err)
				return
			}
			d.mu.Lock()
			d.appended += len(es)
			d.mu.Unlock()
			time.Sleep(every)
		}
	})
	return func() {
		cancel()
		all.Wait()
		client.Close()
		must(t, s.Close())
	}
}

// drained reports whether the collector has everything of the device.
func (d *device) drained() bool {
	st := d.spool.State()
	return st.Acked == st.Head && st.Head > 0
}

// promised is the last acknowledgement of the current epoch.
func (d *device) promised() uplink.Ack {
	epoch := d.spool.State().Epoch
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.acked[epoch]
}
