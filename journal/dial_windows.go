package journal

import "io"

// Dial tells that there is no journal.
func Dial(io.Writer) Sink { return nil }
