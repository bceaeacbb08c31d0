// Package wts reads who is logged on to Windows from its terminal services, and hears of sleep.
//
// Failure rules: Snapshot either tells of every session of a user or returns an error; of a session whose properties cannot be
// read it tells what is known, and takes the kind that is believed least. Notices are hints to look again, never
// facts. A call that says it succeeded and gave nothing has failed. What one session's own user can write is not read.
//
// Times of logon and disconnection come from the system by the wall clock. They are turned into time since boot once, when they
// are first seen, so that a clock that is set later moves nothing.
package wts
