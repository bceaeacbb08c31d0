// Package trusted tells whether a file can have been written by root alone, or by root and one other user.
//
// Failure rules: what is judged is the open file, never a name that was looked at before, so a swap between look and read
// changes nothing. A file that cannot be judged is not trusted, and no byte of it is returned. A file that is not there
// is fs.ErrNotExist and nothing else is.
package trusted

import "errors"

// ErrUnsafe is the error of a file that somebody else could have written or put there.
var ErrUnsafe = errors.New("not trusted")
