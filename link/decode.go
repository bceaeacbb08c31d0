package link

import (
	"bytes"
	"encoding/json"
	"fmt"
)

func decode(body []byte) (Message, error) {
	var m Message
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Message{}, fmt.Errorf("%w: %v", ErrFrame, err)
	}
	if d.InputOffset() != int64(len(body)) {
		return Message{}, fmt.Errorf("%w: bytes after the message", ErrFrame)
	}
	if n := m.bodies(); n != 1 {
		return Message{}, fmt.Errorf("%w: %d bodies, want 1", ErrFrame, n)
	}
	return m, nil
}

// bodies counts the fields of m that are set.
func (m Message) bodies() int {
	n := 0
	for _, set := range []bool{m.Hello != nil, m.Beat != nil, m.LockNow != nil, m.Ask != nil, m.Stored != nil,
		m.Courier != nil, m.State != nil, m.Events != nil, m.Status != nil, m.Refused != nil} {
		if set {
			n++
		}
	}
	return n
}
