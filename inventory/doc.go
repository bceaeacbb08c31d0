// Package inventory keeps evidence of what an installation consists of: its programs, units and the settings that the
// service manager has in force for them, against the state that was approved.
//
// Failure rules: what cannot be read is itself a value ("gone", "unreadable"), so that it differs from what could be.
// The first state of a version counts as approved; after that only an administrator's approval makes a difference go
// away, and an upgrade does not swallow one that was there before it. A kept state that is damaged is said and begun
// anew. Everything is bounded in size and time. Nothing here decides about a session. An item is a name and a hash or a
// short word: the content of no file leaves this machine.
package inventory
