// Package asuser does things with the rights of a user, for a process that has root's. Linux only.
//
// Failure rules: what cannot be done as the user is not done. Only the thread that does it changes, and it ends with what it
// did, so nothing else ever runs with the wrong rights.
package asuser
