// Package proc reads the processes of this machine, and holds on to one so that it cannot be mistaken.
//
// Failure rules: a process that cannot be read is an error, never a process with empty fields. A pid is only a
// hint: who acts on a process pins it first and compares what it is before and after. What a process's owner can
// write (its environment, its name) is not identity: identity is uid, executable and start time.
package proc
