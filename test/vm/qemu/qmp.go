//go:build linux

package qemu

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitor is QEMU's own port, over which hardware is used, plugged and looked at.
type monitor struct {
	conn    net.Conn
	answers chan answer
	gone    chan struct{} // closed when QEMU has ended

	mu     sync.Mutex
	events []string
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
}

func openMonitor(path string) (*monitor, error) {
	conn, err := dial(path)
	if err != nil {
		return nil, err
	}
	m := &monitor{conn: conn, answers: make(chan answer, 16), gone: make(chan struct{})}
	go m.follow()
	return m, m.do("qmp_capabilities", nil, nil)
}

// dial waits for the socket of a QEMU that is starting.
func dial(path string) (conn net.Conn, err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err = net.Dial("unix", path); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("connect to QEMU: %w", err)
}

func (m *monitor) follow() {
	defer close(m.gone)
	for d := json.NewDecoder(bufio.NewReader(m.conn)); ; {
		var a answer
		if d.Decode(&a) != nil {
			return
		}
		switch {
		case a.Event != "":
			m.mu.Lock()
			m.events = append(m.events, a.Event)
			m.mu.Unlock()
		case a.Return != nil || a.Error != nil:
			m.answers <- a
		}
	}
}

// heard says how often an event came, such as WAKEUP.
func (m *monitor) heard(event string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e == event {
			n++
		}
	}
	return n
}

// do runs one command, and fills what it returns into result where there is one. Commands never overlap, because one test
// drives one machine.
func (m *monitor) do(command string, arguments, result any) error {
	said := map[string]any{"execute": command}
	if arguments != nil {
		said["arguments"] = arguments
	}
	line, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if _, err := m.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	select {
	case a := <-m.answers:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", command, a.Error.Desc)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Return, result)
	case <-m.gone:
		return fmt.Errorf("%s: QEMU has ended", command)
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("%s: no answer", command)
	}
}
