// Package scm runs a program under the service control manager of Windows.
//
// Failure rules: what ends without being asked to ends with an exit code, so that the service manager's recovery
// actions start it again; what ends because it was asked to is stopped. A control is never waited for longer than the work
// takes to end, and the service manager is told at once that it was heard. The handler gives the same path on every
// Windows, whether or not the program can tell that a service manager started it.
package scm

import "errors"

// Why a service ends: the cause of its context.
var (
	ErrStopped  = errors.New("the service was stopped")
	ErrShutdown = errors.New("the machine shuts down")
)
