// Package quiet reads descriptors that wake nobody but who waits for them. Linux only.
//
// Failure rules: a file that is closed ends every wait with an error, and its number is never used again. What cannot be
// watched is an error when it is opened.
package quiet
