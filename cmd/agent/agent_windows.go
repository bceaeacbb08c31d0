package main

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/enforce"
	"stepaway/link"
	"stepaway/policy"
	"stepaway/scm"
	"stepaway/session"
)

// promise is what an agent of one session cannot promise, in plain words.
var promise = []string{
	"runs as the user it watches: that user can stop it, and input that programs make cannot always be told from hardware",
	"no ending of the session as a last resort",
}

// told is what the service manager says; nothing where none started the agent.
type told = scm.Told

// whoGuardsAll may see and secure every session.
const whoGuardsAll = "the system's account or an elevated administrator"

func privileged() bool { return windows.GetCurrentProcessToken().IsElevated() }

// looker is who looks at the machine: 0 for who may see all of it.
func looker() int {
	if privileged() {
		return 0
	}
	return 1
}

// isLocker: Windows locks by itself.
var isLocker func(string) bool

// inherit: nobody makes pipes beforehand here.
func inherit(string) (net.Listener, error) { return nil, nil }

// warnTerminal: no session has a terminal alone.
func (a *agent) warnTerminal(session.Session, time.Duration, policy.Action) {}

var errNotYet = errors.New("not on this system yet")

func (a *agent) parts(context.Context) (parts, error) { return parts{}, errNotYet }

func (a *agent) open(context.Context, *enforce.Enforcer, *link.Outbox) error { return errNotYet }

func (a *agent) courierAllowed() func(link.Peer) bool {
	return func(p link.Peer) bool { return p.Root }
}

func (a *agent) audit(context.Context, *enforce.Enforcer) {}

