package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"stepaway/clock"
	"stepaway/cmdline"
	"stepaway/enforce"
	"stepaway/link"
	"stepaway/policy/file"
	"stepaway/sdnotify"
)

// agent puts the parts of one run together.
type agent struct {
	flags *runFlags
	paths paths
	log   *slog.Logger
	ready func() // tells who started it that it enforces now; may be nil
	work  sync.WaitGroup

	inherited    net.Listener       // the link's socket, if the service manager made it
	stopCourier  context.CancelFunc // nil if this agent started none
	saidOfPolicy string             // what was last logged of the policy
}

// parts are what the code of this system gives to a run.
type parts struct {
	sessions enforce.Sessions
	inputs   enforce.Inputs
	ladder   enforce.Ladder
	trays    enforce.Trays        // may be nil
	sleeps   <-chan enforce.Sleep // may be nil
	close    func()
}

// run enforces until ctx ends. What it starts it also ends, in reverse.
func (a *agent) run(ctx context.Context) error {
	inherited, err := inherit(a.paths.socket)
	if err != nil {
		return err
	}
	a.inherited = inherited
	if inherited == nil && link.Answered(a.paths.socket) { // before anything is written that is the other's
		return fmt.Errorf("%w on %s; stop it first", link.ErrAnswered, a.paths.socket)
	}
	boot, err := clock.BootID()
	if err != nil {
		return err
	}
	timer, err := clock.NewTimer()
	if err != nil {
		return err
	}
	defer timer.Close()
	store := newStore(a.paths.lastInput(), a.log)
	defer store.Close()
	outbox := link.NewOutbox(newRun())
	policies, first := a.policies(ctx)
	p, err := a.parts(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	e := enforce.New(enforce.Options{
		Clock: systemClock{}, Timer: wake{timer, a.log}, Sessions: p.sessions, Inputs: p.inputs,
		Ladder: p.ladder, Outbox: outbox, Policy: first, Policies: policies, Sleeps: p.sleeps,
		Saved: store.Load(), Save: store.Save, Warn: a.warnTerminal, Tray: p.trays,
		Courier: a.courierAllowed(), Version: cmdline.Version(version), Boot: boot, Promise: a.promise(), Log: a.log,
		Publish: a.publish(ctx.Done()), TrayIn: a.trayIn(), Alive: alive, AliveWithin: sdnotify.Watchdog(),
	})
	return a.serve(ctx, e, outbox)
}

// serve opens the link, starts what belongs to this run and enforces.
func (a *agent) serve(ctx context.Context, e *enforce.Enforcer, outbox *link.Outbox) error {
	peers, stopPeers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPeers()
	if err := a.open(peers, e, outbox); errors.Is(err, link.ErrAnswered) {
		return err
	} else if err != nil {
		a.log.Error("no link: sessions are enforced without tray, and events wait here", "error", err)
		a.work.Go(func() { a.openLater(peers, e, outbox) })
	}
	if a.flags.session {
		a.startCourier(ctx)
	}
	for _, p := range a.promise() {
		a.log.Warn("this agent cannot promise everything", "limit", p)
	}
	a.log.Info("enforcing", "version", cmdline.Version(version), "policy", a.paths.policy, "link", a.paths.socket)
	if _, err := sdnotify.Send(sdnotify.Ready); err != nil {
		a.log.Error("service manager not told", "error", err)
	}
	if a.ready != nil {
		a.ready()
	}
	a.audit(ctx, e)
	e.Run(ctx)
	a.log.Info("stopping", "why", context.Cause(ctx))
	drain(outbox)
	if a.stopCourier != nil {
		a.stopCourier()
	}
	stopPeers()
	a.work.Wait()
	return nil
}

// linkAgain is how often a link that could not be opened is tried again.
const linkAgain = 30 * time.Second

func (a *agent) openLater(ctx context.Context, e *enforce.Enforcer, outbox *link.Outbox) {
	for a.open(ctx, e, outbox) != nil {
		select {
		case <-time.After(linkAgain):
		case <-ctx.Done():
			return
		}
	}
	a.log.Info("link open", "link", a.paths.socket)
}

func (a *agent) promise() []string {
	if a.flags.session {
		return promise
	}
	return nil
}

func newRun() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// alive does not hold the loop up. Nobody is left to tell when telling fails; the watchdog then does its work.
func alive(within time.Duration) { _ = sdnotify.Beat(within) }

// policies looks at the policy for the start, and again after every change on disk and every SIGHUP. It watches before
// it looks, so no change is missed, and never looks twice at once.
func (a *agent) policies(ctx context.Context) (<-chan enforce.PolicyNews, enforce.PolicyNews) {
	owner := uint32(max(os.Geteuid(), 0))
	site, keep := policySite(a.paths.policy, owner), &file.Keep{Path: a.paths.lastGood(), Owner: owner}
	look := func() enforce.PolicyNews { return a.news(file.InForce(site, keep, time.Now())) }
	changed, err := site.Watch(ctx)
	if err != nil {
		a.log.Warn("policy is read again only on SIGHUP", "error", err)
	}
	first := look()
	return a.lookAgain(ctx, look, changed), first
}

func (a *agent) lookAgain(ctx context.Context, look func() enforce.PolicyNews, changed <-chan struct{}) <-chan enforce.PolicyNews {
	out := make(chan enforce.PolicyNews)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	a.work.Go(func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-hup:
			}
			select {
			case out <- look():
			case <-ctx.Done():
				return
			}
		}
	})
	return out
}

// news turns a verdict into what the loop takes, and logs what is wrong.
func (a *agent) news(v file.Verdict) enforce.PolicyNews {
	a.logPolicy(v)
	if err := link.Collector(v.Loaded.Policy.Collector).Save(link.CollectorFile(a.paths.runtime)); err != nil {
		a.log.Error("events go where they went", "error", err)
	}
	n := enforce.PolicyNews{Loaded: v.Loaded, Before: v.Before, Code: codeOf(v), Waiting: v.Waiting, Also: v.Also}
	if v.Approved != nil {
		n.Author, n.Approver = v.Approved.Author, v.Approved.Approver
	}
	return n
}
