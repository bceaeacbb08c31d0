package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Limits on peers.
const (
	maxPerUser  = 4               // connections of one uid
	maxPeers    = 64              // connections in all
	helloWithin = 5 * time.Second // for the first message
	writeWithin = 5 * time.Second
	silence     = 3 * BeatEvery // a tray that says nothing for this long is lost
	batchEvents = 24 // keeps a frame under MaxFrame
	lockEvery   = time.Second // LockNow of one connection more often than this is ignored
)

// Server accepts peers on a local socket.
type Server struct {
	host     Host
	outbox   *Outbox
	listener *net.UnixListener

	mu    sync.Mutex
	users map[uint32]int
	total int
	wg    sync.WaitGroup
}

// Listen makes the socket with the given mode, in a directory that only its owner may write. A socket left
// behind by a dead agent is replaced; one on which an agent still answers is an error.
func Listen(path string, mode os.FileMode, host Host, outbox *Outbox) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the link's directory: %w", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("another agent answers on %s; stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace the link's socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the link's socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, fmt.Errorf("make the link's socket: %w", err)
	}
	return &Server{host: host, outbox: outbox, listener: l, users: map[uint32]int{}}, nil
}

// Serve accepts peers until ctx ends, then closes every connection and waits for them.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	defer s.wg.Wait()
	for {
		c, err := s.listener.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors: let others end first
			continue
		}
		s.admit(ctx, c)
	}
}

func (s *Server) admit(ctx context.Context, c *net.UnixConn) {
	p, err := peerOf(c)
	if err != nil || !s.enter(p.UID) {
		c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		Write(c, Message{Refused: &Refused{Code: "busy"}})
		c.Close()
		return
	}
	s.wg.Go(func() {
		defer s.leave(p.UID)
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		s.converse(ctx, c, p)
	})
}

func (s *Server) enter(uid uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[uid] >= maxPerUser || (s.total >= maxPeers && uid != 0) {
		return false
	}
	s.users[uid]++
	s.total++
	return true
}

func (s *Server) leave(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.users[uid]--; s.users[uid] == 0 {
		delete(s.users, uid)
	}
}

func peerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return Peer{}, err
	}
	return Peer{PID: cred.Pid, UID: cred.Uid}, nil
}

// converse takes the peer's Hello and serves the role that it gets.
func (s *Server) converse(ctx context.Context, c net.Conn, p Peer) {
	c.SetReadDeadline(time.Now().Add(helloWithin))
	m, err := Read(c)
	if err != nil || m.Hello == nil {
		send(c, Message{Refused: &Refused{Code: "protocol"}})
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
		send(c, Message{Refused: &Refused{Code: "role"}})
	}
}

func send(c net.Conn, m Message) error {
	c.SetWriteDeadline(time.Now().Add(writeWithin))
	return Write(c, m)
}

func (s *Server) serveStatus(ctx context.Context, c net.Conn, p Peer) {
	c.SetReadDeadline(time.Now().Add(helloWithin))
	if m, err := Read(c); err != nil || m.Ask == nil {
		send(c, Message{Refused: &Refused{Code: "protocol"}})
		return
	}
	st, err := s.host.Status(ctx, p)
	if err != nil {
		send(c, Message{Refused: &Refused{Code: "busy"}})
		return
	}
	send(c, Message{Status: &st})
}

func (s *Server) serveTray(ctx context.Context, c net.Conn, p Peer, session string) {
	id, refusal := s.host.Tray(p, session)
	if refusal != "" {
		send(c, Message{Refused: &Refused{Code: refusal}})
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
				if send(c, Message{State: newest.Load()}) != nil {
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
	var locked time.Time
	for {
		c.SetReadDeadline(time.Now().Add(silence))
		m, err := Read(c)
		switch {
		case err != nil:
			return
		case m.LockNow != nil:
			if time.Since(locked) >= lockEvery {
				locked = time.Now()
				s.host.LockNow(id)
			}
		case m.Beat == nil:
			return
		}
	}
}

func (s *Server) serveCourier(ctx context.Context, c net.Conn, p Peer) {
	if !s.host.Courier(p) {
		send(c, Message{Refused: &Refused{Code: "role"}})
		return
	}
	defer s.host.CourierSaid(nil)
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
		if send(c, Message{Events: &Events{Run: s.outbox.Run, Batch: batch}}) != nil {
			return
		}
		sent = batch[len(batch)-1].N
	}
}
