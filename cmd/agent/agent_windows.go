package main

import (
	"context"
	"flag"
	"net"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/enforce"
	"stepaway/idle"
	"stepaway/link"
	"stepaway/lock"
	"stepaway/packaging"
	"stepaway/policy"
	"stepaway/probe"
	"stepaway/session"
	"stepaway/session/wts"
)

// promise is what an agent of one session cannot promise, in plain words.
var promise = []string{
	"runs as the user it watches: that user can stop it, and input that programs make cannot always be told from hardware",
	"no ending of the session as a last resort",
}

// systemFlags are the flags of run that only this system has.
type systemFlags struct {
	desktop string // where the programs of a session are started, "" for the usual
}

func (f *systemFlags) registerSystem(fs *flag.FlagSet) {
	fs.StringVar(&f.desktop, "desktop", "", "`DESKTOP` of a session where its programs are (default winsta0\\default)")
}

// whoGuardsAll may see and secure every session.
const whoGuardsAll = "the system's account or an elevated administrator"

// privileged: of an administrator who is not elevated, the group is there to deny alone, and he is no member.
func privileged() bool {
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return false
	}
	member, err := windows.Token(0).IsMember(administrators) // of this process
	return err == nil && member
}

// looker is who looks at the machine: 0 for who may see all of it.
func looker() int {
	if privileged() {
		return 0
	}
	return 1
}

// isLocker: Windows locks by itself.
var isLocker func(string) bool

// dialStatus connects to the agent, which must be the system's or this very user's.
func dialStatus(pipe string) (net.Conn, error) { return link.Dial(pipe) }

// inherit: nobody makes pipes beforehand here.
func inherit(string) (net.Listener, error) { return nil, nil }

// warnTerminal: no session has a terminal alone.
func (a *agent) warnTerminal(session.Session, time.Duration, policy.Action) {}

// parts are the terminal services, a probe in each session, and the ladder.
func (a *agent) parts(ctx context.Context) (parts, error) {
	probes, err := probe.New(probe.Options{Desktop: a.flags.desktop, Log: a.log})
	if err != nil {
		return parts{}, err
	}
	inputs := idle.NewWatch(idle.Options{Probes: probes})
	sessions, err := wts.Options{Own: a.flags.session}.Open()
	if err != nil {
		probes.Close()
		return parts{}, err
	}
	ladder := lock.New(lock.Options{Root: !a.flags.session, Desk: probes, Desktop: a.flags.desktop, Log: a.log, Now: clock.Now})
	return parts{sessions: sessions, inputs: sight{inputs}, ladder: climber{ladder}, trays: a.trays(ctx, ladder), sleeps: a.sleeps(ctx),
		close: func() {
			sessions.Close()
			inputs.Close()
			probes.Close()
		}}, nil
}

// open opens the link and serves it. The pipe of one session is its user's alone.
func (a *agent) open(ctx context.Context, e *enforce.Enforcer, outbox *link.Outbox) error {
	access, err := packaging.LinkSDDL(), error(nil)
	if a.paths.socket != packaging.LinkPipe {
		access, err = link.OwnAccess()
	}
	if err != nil {
		return err
	}
	server, err := link.Listen(a.paths.socket, access, e, outbox)
	if err != nil {
		return err
	}
	a.work.Go(func() { server.Serve(ctx) })
	return nil
}

// courierAllowed says which peers may take the events: the courier's account, the system's, and with --session the user.
func (a *agent) courierAllowed() func(link.Peer) bool {
	allowed := map[string]bool{packaging.ServiceSID(packaging.CourierService): true}
	if u, err := windows.GetCurrentProcessToken().GetTokenUser(); err == nil {
		allowed[u.User.Sid.String()] = true
	}
	return func(p link.Peer) bool { return p.Root || allowed[p.SID] }
}

// sleeps tells the service of sleep that begins; a session of its own only has what its desktop does.
func (a *agent) sleeps(ctx context.Context) <-chan enforce.Sleep {
	if a.flags.session {
		return nil
	}
	out := make(chan enforce.Sleep)
	a.work.Go(func() {
		defer close(out)
		for s := range wts.Sleeps(ctx, a.log) {
			select {
			case out <- enforce.Sleep(s):
			case <-ctx.Done():
			}
		}
	})
	return out
}
