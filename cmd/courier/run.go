package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/link"
	"stepaway/policy/file"
	"stepaway/sdnotify"
	"stepaway/sink"
	"stepaway/spool"
)

// running is one `run`.
type running struct {
	state   state
	policy  string
	link    string
	runtime string
	sinks   string
	log     *slog.Logger
	ready   bool
	tell    func()                      // tells who started it that it is ready; may be nil
	sending atomic.Pointer[spool.Spool] // what waits for a collector; nil where there is none
	working atomic.Pointer[courier.Courier]
}

// errChanged ends a round because enrolment or policy changed.
var errChanged = errors.New("enrolment, policy or sinks changed")

func run(_ context.Context, args []string) error {
	fl := flags("run", "Keeps events and carries them to the collector until it is told to stop.")
	at := runFlags(fl)
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return at(slog.New(slog.NewTextHandler(os.Stderr, nil))).rounds(ctx)
}

// runFlags are the flags of run. What it returns is to be called once they were read.
func runFlags(fl *flag.FlagSet) func(*slog.Logger) *running {
	dir := stateFlag(fl)
	policyPath := fl.String("policy", "", "policy `file` to read the collector from, instead of what the agent has in force")
	socket := fl.String("link", "", "`socket` of the agent (default "+defaultLink+", or that of\nSTATE/run where --state is given)")
	runtime := fl.String("runtime", "", "the agent's runtime `directory`, where it says which collector its policy wants (default: that of\nthe socket; on Windows STATE/run where --state is given)")
	sinks := fl.String("sinks", "", "`file` of the audit systems that events are handed on to (default "+defaultSinks+", or STATE/sinks.yaml\nwhere --state is given)")
	return func(log *slog.Logger) *running {
		if *socket == "" {
			*socket = linkFor(*dir)
		}
		if *runtime == "" {
			*runtime = runtimeFor(*dir, *socket)
		}
		if *sinks == "" {
			*sinks = sinksFor(*dir)
		}
		return &running{state: state(*dir), policy: *policyPath, link: *socket, runtime: *runtime, sinks: *sinks, log: log}
	}
}

// linkFor is the socket of the agent that has the same --state.
func linkFor(dir string) string {
	if dir == defaultState {
		return defaultLink
	}
	return link.Socket(filepath.Join(dir, "run"))
}

// rounds opens the spool and works, again whenever enrolment or policy changed, the spool proved damaged or
// its disk did not let it be opened.
func (r *running) rounds(ctx context.Context) error {
	defer r.answerWatchdog()()
	for {
		err := r.round(ctx)
		switch {
		case ctx.Err() != nil:
			_, _ = sdnotify.Send(sdnotify.Stopping)
			return err
		case errors.Is(err, errChanged):
			r.log.Info("beginning anew", "why", err)
			continue
		case errors.Is(err, spool.ErrBusy):
			return fmt.Errorf("%w; stop it, or give this one a directory of its own with --state", err)
		case !r.ready && !errors.Is(err, spool.ErrDamaged):
			return err
		}
		r.log.Error("spool failed, opening it again", "err", err)
		if !pause(ctx, 5*time.Second) {
			return nil
		}
	}
}

// answerWatchdog gives the service manager a sign of life now and then, until it is told to stop. One that cannot tell
// any more how it is gives none.
func (r *running) answerWatchdog() (stop func()) {
	within := sdnotify.Watchdog()
	if within == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() {
		for pause(ctx, within/2) {
			if c := r.working.Load(); c != nil {
				c.Status()
			}
			if err := sdnotify.Beat(within); err != nil {
				r.log.Warn("service manager not told", "err", err)
			}
		}
	})
	return func() { cancel(); beside.Wait() }
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *running) round(ctx context.Context) error {
	watched := r.watched()
	id, peer, err := r.peer()
	if err != nil {
		r.log.Error("events are kept and not sent; enroll this device again", "err", err)
		id = &courier.Identity{}
	}
	if peer != nil {
		defer peer.Close()
	}
	stamp := stamper()
	specs, keep := r.handedTo()
	here := toldHere()
	s, found, err := spool.Open(r.state.spool(), spool.Options{Device: id.Device, Site: here.site, Unit: here.unit, Bound: id.Bound(), Keep: err != nil,
		Sinks: namesOf(specs), KeepSinks: keep, Stamp: stamp, Check: checker()})
	if err != nil {
		return err
	}
	r.log.Info("spool open", "epoch", found.Epoch, "head", found.Head, "acked", found.Acked)
	if found.Code != "" {
		r.log.Error("a new epoch was begun", "why", found.Code, "epoch_before", found.Before, "set_aside", found.Aside)
	}
	err = r.work(ctx, s, id.Device, peer, stamp, specs, watched)
	return errors.Join(err, s.Close())
}

func (r *running) work(ctx context.Context, s *spool.Spool, device audit.Label, peer *courier.Client,
	stamp func(audit.Type) audit.Event, specs []sink.Spec, watched string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel(nil)
	go r.watch(ctx, watched, cancel)
	beside.Go(func() { r.enrolWhenTold(ctx) })
	fatal := func(err error) bool { return errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrClosed) }
	group := r.group(specs, s, func(err error) {
		if fatal(err) {
			cancel(err)
		}
	})
	beside.Go(func() { group.Run(ctx) })
	o := courier.Options{
		Device: device, Version: cmdline.Version(version), Stamp: stamp, Dial: r.dial, Log: r.log,
		Fatal:   fatal,
		Changed: func(c link.Courier) { _ = r.state.say(c, peer) },
	}
	if peer != nil {
		o.Peer = peer
		r.sending.Store(s)
		defer r.sending.Store(nil)
	}
	c := courier.New(waking{queue{s}, group}, o)
	r.working.Store(c)
	defer r.working.Store(nil)
	o.Changed(c.Status())
	if !r.ready {
		r.ready = true
		if _, err := sdnotify.Send(sdnotify.Ready); err != nil {
			r.log.Warn("service manager not told", "err", err)
		}
		if r.tell != nil {
			r.tell()
		}
	}
	return c.Run(ctx)
}

// queue gives the courier its spool.
type queue struct{ *spool.Spool }

func (q queue) Position() courier.Position {
	s := q.State()
	return courier.Position{Epoch: s.Epoch, Head: s.Head, Acked: s.Acked, AckedHash: s.AckedHash, Proof: s.Proof, Bytes: s.Bytes}
}

// peer makes the client for the collector; nil when there is none. Before enrolment events bear no device.
func (r *running) peer() (*courier.Identity, *courier.Client, error) {
	id, err := courier.LoadIdentity(r.state.identity())
	if errors.Is(err, courier.ErrNotEnrolled) {
		r.log.Warn("no collector: events are kept on this machine", "err", err)
		return &courier.Identity{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var c *courier.Client
	o, err := r.fromPolicy()
	if err == nil {
		if o.URL == "" {
			o.URL = toldHere().collector
		}
		c, err = courier.NewClient(id, o)
	}
	if err != nil {
		r.log.Warn("policy not used, the collector is the one enrolled at", "err", err)
		c, err = courier.NewClient(id, courier.ClientOptions{})
	}
	return id, c, err
}

// said is the file that says which collector the policy wants.
func (r *running) said() string {
	if r.policy != "" {
		return r.policy
	}
	return link.CollectorFile(r.runtime)
}

// fromPolicy reads what the policy in force says about the collector, or that of the file that was named.
func (r *running) fromPolicy() (courier.ClientOptions, error) {
	c, err := r.collector()
	if errors.Is(err, fs.ErrNotExist) {
		return courier.ClientOptions{}, nil
	}
	if err != nil {
		return courier.ClientOptions{}, err
	}
	return fromCollector(c)
}

func (r *running) collector() (link.Collector, error) {
	if r.policy == "" {
		return link.LoadCollector(r.said())
	}
	l, err := file.Site{Files: file.Source{Path: r.policy, Owner: uint32(max(os.Geteuid(), 0))}}.Load()
	return link.Collector(l.Policy.Collector), err
}

func fromCollector(c link.Collector) (o courier.ClientOptions, err error) {
	o.URL, o.Proxy = c.URL, c.Proxy
	if c.CA != "" {
		o.Roots, err = courier.ReadRoots(c.CA)
	}
	return o, err
}

// watched tells the files that decide about the collector apart by time and size.
func (r *running) watched() string {
	seen := ""
	for _, path := range []string{r.state.identity() + "/collector.json", r.said(), r.sinks} {
		if info, err := os.Stat(path); err == nil {
			seen += fmt.Sprint(info.ModTime().UnixNano(), info.Size())
		}
		seen += ";"
	}
	return seen
}

// watchAtMost is how long a change of enrolment or policy may go unseen that the kernel did not tell of.
const watchAtMost = 5 * time.Minute

// watch ends the round when enrolment or policy changed.
func (r *running) watch(ctx context.Context, before string, end context.CancelCauseFunc) {
	if err := os.MkdirAll(r.state.identity(), 0o700); err != nil { // so that enrolling is noticed at once
		r.log.Warn("enrolment is noticed late", "err", err)
	}
	identity := r.hints(ctx, r.state.enrolling())
	policies := r.hints(ctx, r.said())
	sinks := r.hints(ctx, r.sinks)
	for r.watched() == before {
		select {
		case <-ctx.Done():
			return
		case <-identity:
		case <-policies:
		case <-sinks:
		case <-time.After(watchAtMost):
		}
	}
	end(errChanged)
}

// hints receives after something changed beside a file; where that cannot be watched, never.
func (r *running) hints(ctx context.Context, path string) <-chan struct{} {
	c, err := file.Source{Path: path}.Watch(ctx)
	if err != nil {
		r.log.Warn("a change is seen within minutes only", "file", path, "err", err)
	}
	return c
}

// dial connects to the agent, which must run as root or as ourselves.
func (r *running) dial(context.Context) (net.Conn, error) { return link.Dial(r.link) }
