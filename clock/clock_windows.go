package clock

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// This file builds and vets, and has not been run on a real Windows.

var errNotHere = errors.New("clock: not on this system yet")

var procQueryInterruptTime = windows.NewLazySystemDLL("kernelbase.dll").NewProc("QueryInterruptTime")

var procQueryUnbiasedInterruptTime = windows.NewLazySystemDLL("kernel32.dll").NewProc("QueryUnbiasedInterruptTime")

// Now returns the time since boot, time asleep included: the interrupt time, which is kept in units of 100 ns.
func Now() time.Duration {
	var units uint64
	procQueryInterruptTime.Call(uintptr(unsafe.Pointer(&units)))
	return time.Duration(units) * 100
}

// Asleep returns how much of the time since boot the machine slept: the unbiased interrupt time leaves that out.
func Asleep() time.Duration {
	var units uint64
	procQueryUnbiasedInterruptTime.Call(uintptr(unsafe.Pointer(&units)))
	return Now() - time.Duration(units)*100
}

// BootID is not on this system yet.
func BootID() (string, error) { return "", errNotHere }

// Synced reports whether something keeps the wall clock in step. Unknown is false.
func Synced() bool { return false }

// A Timer ticks at a boot time.
type Timer struct{}

// NewTimer is not on this system yet.
func NewTimer() (*Timer, error) { return nil, errNotHere }

// C never ticks.
func (t *Timer) C() <-chan struct{} { return nil }

// Set is not on this system yet.
func (t *Timer) Set(time.Duration) error { return errNotHere }

// Disarm is not on this system yet.
func (t *Timer) Disarm() error { return errNotHere }

// Close does nothing.
func (t *Timer) Close() error { return nil }
