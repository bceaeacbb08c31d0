// Package logind reads who is logged on from systemd-logind, and carries requests to it.
//
// Failure rules: Snapshot either tells of every user session or returns an error; a session whose properties cannot be
// read is reported with what is known, and Unknown for the rest. Signals are hints to look again, never facts. Every
// wait is bounded. A connection that breaks is made again by itself.
//
// What a session's own user can write, by taking control of the session as a display server does: Type, Display (systemd
// 252), IdleHint and LockedHint. So a kind that was once graphical stays so, a display must look like one, and LockedHint
// is a claim. Service, Remote, Class, Seat, VTNr, TTY, Leader and Scope are set by root at logon.
package logind
