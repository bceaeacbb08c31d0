package link

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// sayWithin bounds connecting and each Say.
const sayWithin = 2 * time.Second

// Client is the tray's end of the link.
type Client struct {
	conn net.Conn
	mu   sync.Mutex // one Say at a time
}

// Open connects to the enforcer's socket and introduces the peer.
func Open(path string, hello Hello) (*Client, error) {
	conn, err := Dial(path)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn}
	if err := c.Say(Message{Hello: &hello}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Say sends m within two seconds. Several goroutines may use it. After an error the connection is of no use.
func (c *Client) Say(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(sayWithin)); err != nil {
		return fmt.Errorf("speak to the enforcer: %w", err)
	}
	if err := Write(c.conn, m); err != nil {
		return fmt.Errorf("speak to the enforcer: %w", err)
	}
	return nil
}

// Hear waits for the next message, however long that takes. Being turned away is an error.
func (c *Client) Hear() (Message, error) {
	m, err := Read(c.conn)
	if err != nil {
		return Message{}, fmt.Errorf("listen to the enforcer: %w", err)
	}
	if m.Refused != nil {
		return Message{}, fmt.Errorf("the enforcer refused the connection: %q", m.Refused.Code)
	}
	return m, nil
}

// Close ends the connection, and a Hear that waits.
func (c *Client) Close() error { return c.conn.Close() }
