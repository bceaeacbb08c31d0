//go:build linux

package qemu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"stepaway/test/vm/wire"
)

// port is the way to the helper in the machine.
type port struct {
	conn net.Conn

	mu      sync.Mutex
	last    int
	waiting map[int]chan wire.Answer
}

func openPort(path string) (*port, error) {
	conn, err := dial(path)
	if err != nil {
		return nil, err
	}
	p := &port{conn: conn, waiting: map[int]chan wire.Answer{}}
	go p.follow()
	return p, nil
}

func (p *port) follow() {
	for in := bufio.NewReader(p.conn); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var a wire.Answer
		if json.Unmarshal(line, &a) != nil {
			continue
		}
		p.mu.Lock()
		to := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

// ask sends a request and waits for its answer, at most patience.
func (p *port) ask(r wire.Request, patience time.Duration) (wire.Answer, error) {
	to := make(chan wire.Answer, 1)
	p.mu.Lock()
	p.last++
	r.ID = p.last
	p.waiting[r.ID] = to
	line, err := json.Marshal(r)
	if err == nil {
		_, err = p.conn.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return wire.Answer{}, fmt.Errorf("ask the machine: %w", err)
	}
	select {
	case a := <-to:
		return a, nil
	case <-time.After(patience):
		return wire.Answer{}, errors.New("the machine does not answer")
	}
}
