package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"stepaway/audit"
)

//go:generate go run golang.org/x/sys/windows/mkwinsyscall@v0.49.0 -output zsyscall_windows.go server_windows.go

// Limits on peers.
const (
	maxPerUser  = 4   // connections of one account
	maxPeers    = 256 // connections in all; root and the courier are let in above that
	batchEvents = 24  // of full length they just fit into a frame
)

// timing is what a peer is given time for.
type timing struct {
	hello   time.Duration // for the first message, and for the Ask of a status peer
	write   time.Duration // for a peer to take a message
	silence time.Duration // a tray that says nothing for this long is lost
	lock    time.Duration // LockNow of one connection more often than this is ignored
	pace    time.Duration // between messages of a tray that has much to say
}

var usual = timing{hello: 5 * time.Second, write: 5 * time.Second, silence: 3 * BeatEvery, lock: time.Second, pace: 10 * time.Millisecond}

// Server accepts peers on a local socket, which on Windows is a named pipe.
type Server struct {
	host     Host
	outbox   *Outbox
	listener net.Listener
	timing   timing

	mu       sync.Mutex
	users    map[string]int // connections by account
	total    int
	couriers int
	conns    atomic.Uint64
	wg       sync.WaitGroup
}

// ServeOn is a server on a socket that somebody else made, as the service manager of Linux, with its mode. That one stays
// when the server ends.
func ServeOn(l net.Listener, host Host, outbox *Outbox) *Server {
	return &Server{host: host, outbox: outbox, listener: l, users: map[string]int{}, timing: usual}
}

// ErrAnswered is the error of a link on which another agent listens.
var ErrAnswered = errors.New("another agent answers")

// Serve accepts peers until ctx ends, then closes every connection and waits for them.
func (s *Server) Serve(ctx context.Context) error {
	defer s.listener.Close()
	defer context.AfterFunc(ctx, func() { s.listener.Close() })()
	defer s.wg.Wait()
	for {
		c, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors: let others end first
			continue
		}
		s.admit(ctx, c)
	}
}

func (s *Server) admit(ctx context.Context, c net.Conn) {
	p, err := peerOf(c)
	p.Conn = s.conns.Add(1)
	if err != nil || !s.enter(p) {
		c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		Write(c, Message{Refused: &Refused{Code: "busy"}})
		c.Close()
		return
	}
	s.wg.Go(func() {
		defer s.leave(p)
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		s.converse(ctx, c, p)
	})
}

func (s *Server) enter(p Peer) bool {
	reserved := p.Root || s.host.Courier(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[p.account()] >= maxPerUser || (s.total >= maxPeers && !reserved) {
		return false
	}
	s.users[p.account()]++
	s.total++
	return true
}

func (s *Server) leave(p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	account := p.account()
	if s.users[account]--; s.users[account] == 0 {
		delete(s.users, account)
	}
}

// converse takes the peer's Hello and serves the role that it gets.
func (s *Server) converse(ctx context.Context, c net.Conn, p Peer) {
	c.SetReadDeadline(time.Now().Add(s.timing.hello))
	m, err := Read(c)
	if err != nil || m.Hello == nil {
		s.send(c, Message{Refused: &Refused{Code: "protocol"}})
		return
	}
	switch m.Hello.Role {
	case RoleTray:
		s.serveTray(ctx, c, p, m.Hello.Session)
	case RoleCourier:
		s.serveCourier(ctx, c, p)
	case RoleStatus:
		s.serveStatus(ctx, c, p)
	default:
		s.send(c, Message{Refused: &Refused{Code: "role"}})
	}
}

func (s *Server) send(c net.Conn, m Message) error {
	c.SetWriteDeadline(time.Now().Add(s.timing.write))
	return Write(c, m)
}

func (s *Server) serveStatus(ctx context.Context, c net.Conn, p Peer) {
	c.SetReadDeadline(time.Now().Add(s.timing.hello))
	if m, err := Read(c); err != nil || m.Ask == nil {
		s.send(c, Message{Refused: &Refused{Code: "protocol"}})
		return
	}
	st, err := s.host.Status(ctx, p)
	if err != nil {
		s.send(c, Message{Refused: &Refused{Code: "busy"}})
		return
	}
	err = s.send(c, Message{Status: &st})
	for errors.Is(err, ErrFrame) && len(st.Sessions) > 0 { // too many to tell of: half of them
		n := len(st.Sessions)
		st.Sessions = st.Sessions[:n/2]
		st.Limits = []string{"more sessions than one answer holds; not all are listed"}
		err = s.send(c, Message{Status: &st})
	}
}

func (s *Server) serveTray(ctx context.Context, c net.Conn, p Peer, session string) {
	id, refusal := s.host.Tray(p, session)
	if refusal != "" {
		s.send(c, Message{Refused: &Refused{Code: refusal}})
		return
	}
	var newest atomic.Pointer[State]
	news := make(chan struct{}, 1)
	done := make(chan struct{})
	s.host.TrayUp(id, p, func(st State) {
		newest.Store(&st)
		select {
		case news <- struct{}{}:
		default:
		}
	})
	defer s.host.TrayDown(id, p)
	s.wg.Go(func() {
		defer c.Close()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-news:
				if st := newest.Swap(nil); st != nil && s.send(c, Message{State: st}) != nil {
					return
				}
			}
		}
	})
	defer close(done)
	s.hearTray(c, id)
}

// hearTray takes what a tray may say, until it is silent for too long or says anything else.
func (s *Server) hearTray(c net.Conn, id string) {
	var locked, last time.Time
	for {
		c.SetReadDeadline(time.Now().Add(s.timing.silence))
		m, err := Read(c)
		hurried := time.Since(last) < s.timing.pace
		switch {
		case err != nil:
			return
		case m.LockNow != nil:
			if time.Since(locked) >= s.timing.lock {
				locked = time.Now()
				s.host.LockNow(id)
			}
		case m.Beat == nil:
			return
		}
		if hurried {
			time.Sleep(s.timing.pace)
		}
		last = time.Now()
	}
}

func (s *Server) serveCourier(ctx context.Context, c net.Conn, p Peer) {
	if !s.host.Courier(p) {
		s.send(c, Message{Refused: &Refused{Code: "role"}})
		return
	}
	s.courierCame()
	defer s.courierLeft()
	done := make(chan struct{})
	s.wg.Go(func() {
		defer c.Close()
		s.feed(ctx, c, done)
	})
	defer close(done)
	c.SetReadDeadline(time.Time{})
	for {
		m, err := Read(c)
		switch {
		case err != nil:
			return
		case m.Stored != nil:
			s.outbox.Stored(*m.Stored)
		case m.Courier != nil:
			s.host.CourierSaid(m.Courier)
		default:
			return
		}
	}
}

func (s *Server) courierCame() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.couriers++
}

// courierLeft tells the host when no courier is left: a new one may have come before the old one's end was seen.
func (s *Server) courierLeft() {
	s.mu.Lock()
	s.couriers--
	none := s.couriers == 0
	s.mu.Unlock()
	if none {
		s.host.CourierSaid(nil)
	}
}

// feed hands over every event that was not stored yet, each once per connection.
func (s *Server) feed(ctx context.Context, c net.Conn, done <-chan struct{}) {
	var sent uint64
	for {
		batch, more := s.outbox.After(sent, batchEvents)
		if len(batch) == 0 {
			select {
			case <-more:
				continue
			case <-done:
				return
			case <-ctx.Done():
				return
			}
		}
		batch, err := s.hand(c, batch)
		if err != nil {
			return
		}
		sent = batch[len(batch)-1].N
	}
}

// hand sends as much of the batch as fits into a frame, and says what that was. One event that fits into none is
// passed over, so that it does not hold up all others; its number stays missing.
func (s *Server) hand(c net.Conn, batch []audit.Event) ([]audit.Event, error) {
	for {
		err := s.send(c, Message{Events: &Events{Run: s.outbox.Run, Batch: batch}})
		switch {
		case !errors.Is(err, ErrFrame):
			return batch, err
		case len(batch) == 1:
			return batch, nil
		}
		batch = batch[:len(batch)/2]
	}
}
