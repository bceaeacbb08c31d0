package packaging

import (
	"encoding/binary"
	"time"
)

// What the service manager does when a service ends that nobody stopped, or ends with an error: it starts it again. The last
// of the delays holds for ever, so that no row of crashes leaves a session open.
const FailureReset = 24 * time.Hour

// RestartDelays are between the end of a service and its next start, one failure after the other.
func RestartDelays() []time.Duration { return []time.Duration{time.Second, time.Second, time.Second} }

// FailureActions is the same as the value FailureActions of a service's key holds it: the fields of SERVICE_FAILURE_ACTIONS with
// where the actions begin in place of the pointer, then each SC_ACTION.
func FailureActions() []byte {
	const restart, header = 1, 20
	delays := RestartDelays()
	b := words(uint32(FailureReset/time.Second), 0, 0, uint32(len(delays)), header)
	for _, d := range delays {
		b = append(b, words(restart, uint32(d/time.Millisecond))...)
	}
	return b
}

func words(list ...uint32) (b []byte) {
	for _, w := range list {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}
