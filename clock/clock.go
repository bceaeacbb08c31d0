// Package clock tells the time since boot, sleep included, and wakes its caller at such a time.
//
// Failure rules: decisions never look at the wall clock, which anybody with the right may set, and never
// wait on Go's own timers, which stand still while the machine sleeps. Now cannot fail on a kernel that
// can run this program; should it, it panics, because a clock that stands still would put off every deadline.
// A tick of a Timer is a hint to look at Now, never proof that the time has come.
package clock

import "time"

//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go clock_windows.go timer_windows.go

// WallOf returns the wall time at which the boot time was boot, by what the wall clock says now.
// It is for records only.
func WallOf(boot time.Duration) time.Time {
	return time.Now().Add(boot - Now()).Round(0)
}

// BootOf is the reverse of WallOf: the boot time of a wall time that another program recorded. A wall time
// in the future gives the boot time of now; one before boot gives zero.
func BootOf(wall time.Time) time.Duration {
	now := Now()
	return min(max(now-time.Since(wall.Round(0)), 0), now)
}
