package idle

import (
	"context"
	"fmt"
	"net"

	"stepaway/asuser"
)

// dialAs connects to a socket below a user's own directories as that user. With root's rights he could lead us, by a link
// in the socket's place, to one that he may not use himself; and a session bus lets in nobody but its user.
func dialAs(ctx context.Context, uid uint32, path string) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	refused := asuser.Do(uid, asuser.NoGroup, func() {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", path)
	})
	if refused != nil {
		return nil, fmt.Errorf("idle: connecting to %s: %w", path, refused)
	}
	return c, err
}
