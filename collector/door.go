package collector

import (
	"net"
	"sync"
	"time"
)

// maxConnections is how many connections may be open at once. Beyond them new ones are closed at once.
const maxConnections = 25_000

// door lets connections in. One that shows no certificate is closed after a while, whatever it does, so that
// strangers cannot fill the house.
type door struct {
	net.Listener
	room   chan struct{}
	guests time.Duration
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case d.room <- struct{}{}:
		default:
			c.Close()
			continue
		}
		g := &guest{Conn: c}
		g.gone = sync.OnceFunc(func() { <-d.room })
		g.leaves = time.AfterFunc(d.guests, func() { g.Close() })
		return g, nil
	}
}

// guest is one connection.
type guest struct {
	net.Conn
	leaves *time.Timer
	gone   func()
}

// stays is for one who has shown a certificate.
func (g *guest) stays() { g.leaves.Stop() }

func (g *guest) Close() error {
	g.leaves.Stop()
	g.gone()
	return g.Conn.Close()
}
