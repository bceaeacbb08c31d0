// Package sink hands audit events over to the systems that a hospital already has: syslog over TLS, an IHE ATNA audit record
// repository, a FHIR server, an OTLP receiver.
//
// Failure rules: an event counts as handed over only on the strongest acknowledgement that its protocol has, and is sent
// again until then, under the same id: at least once, never silently not at all. What a receiver refuses for good while it
// takes others is counted and logged, and does not hold up the rest. Each sink has a position, a goroutine and a pace of
// its own. Receivers are hostile: answers are bounded in size and time, no redirect is followed, no proxy is taken from
// the environment, a certificate must be signed by the CA that the site names and be for the name that was dialled.
// TLS is 1.3, or 1.2 with forward secrecy where the receiver has no better. Secrets are read when used and never logged.
package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"stepaway/sink/encode"
)

// Sink is one receiver.
type Sink interface {
	// Send hands over entries. It answers nil when the receiver has acknowledged them all, a *Partial when it has
	// acknowledged some, and otherwise an error after which all are to be sent again.
	Send(ctx context.Context, es []encode.Entry) error
	// Close frees idle connections.
	Close()
}

// Error is an exchange that failed.
type Error struct {
	Code       string        // enumerated: config, unreachable, tls, slow, busy, denied, refused, redirect, answer, closed
	RetryAfter time.Duration // what the receiver asked for, or 0
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Partial is an exchange after which the receiver has some of the entries.
type Partial struct {
	Again   []encode.Entry // not taken now, to be sent again
	Refused []encode.Entry // refused each by itself, while others were taken
	Lost    int            // refused for good, and the receiver does not say which
	Err     error          // of the last one that was not taken
}

func (p *Partial) Error() string {
	return fmt.Sprintf("%d events not taken now, %d refused: %v", len(p.Again), len(p.Refused)+p.Lost, p.Err)
}
func (p *Partial) Unwrap() error { return p.Err }

// codeOf gives a word for what went wrong.
func codeOf(err error) string {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return "source"
}

func retryAfter(err error) time.Duration {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// sendLimit is how long one exchange may take in all.
const sendLimit = 30 * time.Second

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// Open makes the sink that a checked specification describes. It reads the files that it names, which nobody but root and
// the account of this process may have written, and connects to nothing.
func Open(s Spec) (Sink, error) {
	switch s.Kind {
	case Syslog, ATNA:
		return newSyslog(s)
	case FHIR:
		return newFHIR(s)
	case OTLP:
		return newOTLP(s)
	}
	return nil, fmt.Errorf("sink %s: no kind called %q", s.Name, s.Kind)
}

// owner is who besides root may have written the files of a sink.
func owner() uint32 { return uint32(max(os.Geteuid(), 0)) }
