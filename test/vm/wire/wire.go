// Package wire is what a test and its helper in the test machine say to one another over a port of virtio: one JSON
// value a line, requests one way and answers the other. Only tests import it.
package wire

// Port is the name of the virtio port.
const Port = "rig"

// Request is one program to run in the machine as root, or a question.
type Request struct {
	ID     int      `json:"id"`
	Args   []string `json:"args,omitempty"`
	Input  []byte   `json:"input,omitempty"`  // the program's standard input
	Limit  int64    `json:"limit,omitempty"`  // milliseconds after which it is killed
	Typing bool     `json:"typing,omitempty"` // when the last event of a hardware device was
}

// Answer belongs to the request with the same ID. Instants are milliseconds since boot, sleep counted.
type Answer struct {
	ID   int    `json:"id"`
	Out  []byte `json:"out,omitempty"` // standard output; Typing: the name of the device
	Err  string `json:"err,omitempty"` // standard error, or why it could not be run
	Code int    `json:"code"`          // exit status; -1 if it could not be run or was killed
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Last int64  `json:"last,omitempty"` // Typing: the last event, 0 for none
}

// Slept is what `guest slept` prints: the last moment awake before the machine slept, and the first one after, within 20 ms.
type Slept struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Cost is what one process has taken in a while; a thread that ended meanwhile is not counted.
type Cost struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Switches int64  `json:"switches"` // context switches, wanted and not, of all its threads
	CPUNS    int64  `json:"cpu_ns"`
	RSSKB    int64  `json:"rss_kb"`
}
