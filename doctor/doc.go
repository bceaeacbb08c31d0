// Package doctor looks at a workstation and says what keeps it from being locked in time, or from asking for a password
// afterwards, and what to do about it.
//
// Failure rules: nothing is changed, nothing is tried out on a user, and no password is asked for: how a locker unlocks is
// read from its PAM stack. What cannot be looked at is said, and is never called right. No check waits for longer than its
// time, and none can keep another from being done. A finding holds paths, numbers, enumerated words and names from the
// configuration, no user's name and nothing that a user typed or opened.
package doctor
