package collector

import (
	"net"
	"slices"
	"sync"
	"time"

	"stepaway/audit"
)

// Bounds of connections.
const (
	maxConnections = 25_000 // open at once; beyond them, or beyond what the system lets be open, new ones are closed at once
	maxOfDevice    = 8      // of one device; beyond them its oldest is closed
	spareFiles     = 256    // that the store and everything else may have open beside connections
)

// door lets connections in. One that shows no certificate is closed after a while, whatever it does, and one device has
// few, so that neither strangers nor a stolen certificate can fill the house.
type door struct {
	net.Listener
	room   chan struct{}
	guests time.Duration

	mu sync.Mutex
	of map[audit.Label][]*guest // that have shown a device's certificate, the oldest first
}

func newDoor(l net.Listener, guests time.Duration) *door {
	room := max(min(maxConnections, openFiles()-spareFiles), spareFiles)
	return &door{Listener: l, room: make(chan struct{}, room), guests: guests, of: map[audit.Label][]*guest{}}
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
		g := &guest{Conn: c, door: d}
		g.leave = sync.OnceFunc(func() { d.left(g) })
		g.leaves = time.AfterFunc(d.guests, g.end)
		return g, nil
	}
}

// left takes a guest off the lists.
func (d *door) left(g *guest) {
	<-d.room
	d.mu.Lock()
	defer d.mu.Unlock()
	g.gone = true
	if rest := slices.DeleteFunc(d.of[g.device], func(o *guest) bool { return o == g }); len(rest) > 0 {
		d.of[g.device] = rest
	} else {
		delete(d.of, g.device)
	}
}

// guest is one connection.
type guest struct {
	net.Conn
	door   *door
	leaves *time.Timer
	leave  func()
	device audit.Label // whose certificate it has shown
	gone   bool
}

// stays is for one who has shown the certificate of a device.
func (g *guest) stays(device audit.Label) {
	g.leaves.Stop()
	if oldest := g.door.add(g, device); oldest != nil {
		oldest.Close()
	}
}

// add notes whose connection it is, and answers the one that has to go for it.
func (d *door) add(g *guest, device audit.Label) (oldest *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g.gone {
		return nil
	}
	g.device = device
	d.of[device] = append(d.of[device], g)
	if all := d.of[device]; len(all) > maxOfDevice {
		return all[0]
	}
	return nil
}

// end is Close for one who did not leave in time.
func (g *guest) end() {
	g.leave()
	g.Conn.Close()
}

func (g *guest) Close() error {
	g.leaves.Stop()
	g.leave()
	return g.Conn.Close()
}
