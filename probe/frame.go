package probe

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxFrame is the largest frame in bytes, length prefix not counted, and maxPIDs the most processes in one request.
const (
	maxFrame = 16 << 10
	maxPIDs  = 512
)

// errFrame is the error of a peer that does not keep to the protocol.
var errFrame = errors.New("malformed frame")

// said is what a probe tells, on every beat and when there is news. Instants are nanoseconds since boot, sleep counted.
type said struct {
	Raw      bool          `json:"raw"`      // input is told apart by its device
	Blind    bool          `json:"blind"`    // there was input that raw input did not show
	Remote   bool          `json:"remote"`   // the desktop is shown elsewhere
	Lenient  bool          `json:"lenient"`  // input without a device counts, as this desktop has no device
	Devices  int           `json:"devices"`  // that gave input so far
	At       time.Duration `json:"at"`       // last believed, 0 if none
	Injected time.Duration `json:"injected"` // last not believed, 0 if none
	Count    uint64        `json:"count"`    // times that such was noticed
}

// asked is what the service wants done. Exactly one of Beat, Lock, Close and Clipboard is set.
type asked struct {
	ID        uint64        `json:"id"`                  // comes back in the answer; 0 where none is wanted
	Beat      time.Duration `json:"beat,omitempty"`      // how often to give a sign of life; the first frame, no other
	Lock      bool          `json:"lock,omitempty"`      // LockWorkStation
	Close     []uint32      `json:"close,omitempty"`     // ask the windows of these processes to close
	Clipboard bool          `json:"clipboard,omitempty"` // empty it
}

// answer tells what came of a request.
type answer struct {
	ID    uint64 `json:"id"`
	OK    bool   `json:"ok"`
	Errno uint32 `json:"errno"` // of Windows, when not OK; 0 where it gave none
	N     int    `json:"n"`     // windows that were asked to close
}

// heard is one frame from a probe: exactly one field is set.
type heard struct {
	Said   *said   `json:"said,omitempty"`
	Answer *answer `json:"answer,omitempty"`
}

// writeFrame sends v in one Write call.
func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > maxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", errFrame, len(body), maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// readFrame takes one frame into v. io.EOF means that the peer closed between frames.
func readFrame(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxFrame {
		return fmt.Errorf("%w: length %d, at most %d", errFrame, n, maxFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("%w: cut short", errFrame)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %v", errFrame, err)
	}
	if d.InputOffset() != int64(n) {
		return fmt.Errorf("%w: bytes after the message", errFrame)
	}
	return nil
}

// readHeard takes one frame of a probe.
func readHeard(r io.Reader) (heard, error) {
	var h heard
	if err := readFrame(r, &h); err != nil {
		return heard{}, err
	}
	if (h.Said == nil) == (h.Answer == nil) {
		return heard{}, fmt.Errorf("%w: not one body", errFrame)
	}
	if s := h.Said; s != nil && (s.At < 0 || s.Injected < 0 || s.Devices < 0) {
		return heard{}, fmt.Errorf("%w: less than nothing", errFrame)
	}
	if a := h.Answer; a != nil && (a.N < 0 || a.ID == 0) {
		return heard{}, fmt.Errorf("%w: no such answer", errFrame)
	}
	return h, nil
}

// readAsked takes one frame of the service.
func readAsked(r io.Reader) (asked, error) {
	var a asked
	if err := readFrame(r, &a); err != nil {
		return asked{}, err
	}
	n := 0
	for _, set := range []bool{a.Beat != 0, a.Lock, a.Close != nil, a.Clipboard} {
		if set {
			n++
		}
	}
	if n != 1 || len(a.Close) > maxPIDs || a.Beat < 0 {
		return asked{}, fmt.Errorf("%w: no such request", errFrame)
	}
	return a, nil
}
