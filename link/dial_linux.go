package link

import (
	"fmt"
	"net"
	"os"
)

// Dial connects to the enforcer's socket. The other end must be root or this very user, by the kernel's word: nobody
// else can have a say in what a user is shown.
func Dial(path string) (net.Conn, error) {
	c, err := net.DialTimeout("unix", path, sayWithin)
	if err != nil {
		return nil, fmt.Errorf("connect to the enforcer: %w", err)
	}
	p, err := peerOf(c)
	if err == nil && !trusted(p.UID, uint32(os.Getuid())) {
		err = fmt.Errorf("%s belongs to uid %d", path, p.UID)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the enforcer: %w", err)
	}
	return c, nil
}

// trusted reports whether a process of own may be told things by one of peer.
func trusted(peer, own uint32) bool { return peer == 0 || peer == own }
