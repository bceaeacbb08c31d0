// Package probe sees the input of a Windows desktop, and does there what only a process of that desktop can.
//
// Failure rules: the service cannot see a user's desktop, so it keeps a process of its own in each session, and believes only
// that. A probe that is missing, silent or blind makes its session unreadable, and never its user active: what was believed
// last stays. A probe that breaks the protocol, or says nothing for three beats, is ended and started anew. Input made
// by programs is told apart and not believed; where it cannot be told apart, Why says so, and a session in which it once could
// be is not taken at less. At never moves back and is never in the future.
//
// The probe runs with the service's token moved into the session, so its user can neither end, stop nor talk to it; the two
// speak over pipes that nobody else ever had. It shows nothing and reads nothing of the user: of a key it is known that one went
// down or up, never which. With run --session it runs as the user, and promises no more than that.
//
// What is pure stands in frame.go, judge.go and ticks.go; the service's side in probes.go and follower.go; the probe's own
// in run_windows.go and desk_windows.go.
package probe

import (
	"errors"
	"log/slog"
	"time"
)

// Report is what is known of the input to one session.
type Report struct {
	At            time.Duration // boot time of the last believed input, 0 if none was seen yet
	Injected      time.Duration // boot time of the last input that was seen and not believed, 0 if none
	InjectedCount uint64        // how many times such input was noticed, at most once a second
	Readable      bool          // whether input would be seen now; At may be old without this being false
	Why           string        // where input is seen and how, one line for the log
}

// Options say how probes are kept. The zero value of a field means the usual.
type Options struct {
	Program string        // this very program; started with the one argument "probe"
	Desktop string        // winsta0\default
	Beat    time.Duration // how often a probe gives a sign of life: 10 s
	Log     *slog.Logger
}

// Verb is the argument with which the program is a probe. With the flag LockFlag it locks the desktop it is on, and ends.
const (
	Verb     = "probe"
	LockFlag = "lock"
)

var (
	// ErrNoProbe is the error of a request to a session in which no probe lives now.
	ErrNoProbe = errors.New("no probe in this session")
	// ErrRefused is the error of a request that Windows did not fulfil.
	ErrRefused = errors.New("refused by Windows")
)

const (
	usualBeat = 10 * time.Second
	patience  = 3 // beats without a word until a probe is given up
)

func (o Options) withDefaults() Options {
	if o.Beat <= 0 {
		o.Beat = usualBeat
	}
	if o.Desktop == "" {
		o.Desktop = `winsta0\default`
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
