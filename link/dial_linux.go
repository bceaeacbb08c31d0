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
	p, err := peerOf(c.(*net.UnixConn))
	if err == nil && p.UID != 0 && p.UID != uint32(os.Getuid()) {
		err = fmt.Errorf("%s belongs to uid %d", path, p.UID)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the enforcer: %w", err)
	}
	return c, nil
}
