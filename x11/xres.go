package x11

import "fmt"

// ClientPID returns the process behind a window, by the server's word, which has it from the kernel. It is 0
// when the client is not of this machine, or the server does not know.
func (c *Conn) ClientPID(window uint32) (int, error) {
	e, err := c.extension("X-Resource")
	if err != nil {
		return 0, err
	}
	const queryVersion, queryClientIDs, localPID = 0, 4, 2
	if _, err := c.ask(e.major, queryVersion, words(1|2<<8)); err != nil {
		return 0, err
	}
	m, err := c.ask(e.major, queryClientIDs, words(1, window, localPID))
	if err != nil {
		return 0, err
	}
	return parseClientPID(m)
}

func parseClientPID(m []byte) (int, error) {
	n := le.Uint32(m[8:])
	s := scan{b: m[32:]}
	for ; n > 0 && !s.short; n-- {
		s.take(4) // client
		mask, length := s.u32(), s.u32()
		value := scan{b: s.take(int(min(length, maxMessage)))}
		if mask != 2 || len(value.b) < 4 {
			continue
		}
		pid := value.u32()
		if pid > 1<<22 {
			return 0, fmt.Errorf("%w: process id %d", ErrProtocol, pid)
		}
		return int(pid), nil
	}
	return 0, s.err("the list of clients")
}
