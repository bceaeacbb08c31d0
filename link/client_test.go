package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// answer listens on a socket of the test's own and serves one connection.
func answer(t *testing.T, serve func(net.Conn)) (path string) {
	t.Helper()
	path = address(t)
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

func TestClient(t *testing.T) {
	got := make(chan Message, 2)
	path := answer(t, func(c net.Conn) {
		for range 2 {
			m, err := Read(c)
			if err != nil {
				return
			}
			got <- m
		}
		_ = Write(c, Message{State: &State{Phase: Active, Clients: "Example EHR"}})
		_ = Write(c, Message{Refused: &Refused{Code: "session"}})
	})
	c, err := Open(path, Hello{Role: RoleTray, Session: "c1", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Say(Message{LockNow: &LockNow{}}); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m.Hello == nil || m.Hello.Session != "c1" {
		t.Errorf("first message %+v", m)
	}
	if m := <-got; m.LockNow == nil {
		t.Errorf("second message %+v", m)
	}
	if m, err := c.Hear(); err != nil || m.State == nil || m.State.Clients != "Example EHR" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := c.Hear(); err == nil || !strings.Contains(err.Error(), `"session"`) {
		t.Errorf("being refused: %v", err)
	}
	if _, err := c.Hear(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	if _, err := Open(address(t)+".none", Hello{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// The attack: the enforcer's end reads nothing. Say gives up, it does not hang.
func TestAttackEnforcerThatReadsNothing(t *testing.T) {
	stop := make(chan struct{})
	path := answer(t, func(net.Conn) { <-stop })
	c, err := Open(path, Hello{Role: RoleTray})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer close(stop)
	m := Message{Hello: &Hello{Version: strings.Repeat("x", 60<<10)}}
	for range 1000 {
		if err = c.Say(m); err != nil {
			break
		}
	}
	if !os.IsTimeout(errors.Unwrap(err)) {
		t.Errorf("got %v", err)
	}
}

func TestKeepBeating(t *testing.T) {
	got := make(chan Message, 4)
	path := answer(t, func(c net.Conn) {
		for {
			m, err := Read(c)
			if err != nil {
				return
			}
			got <- m
		}
	})
	c, err := Open(path, Hello{Role: RoleTray})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.KeepBeating(ctx) }()
	<-got // the Hello
	if m := <-got; m.Beat == nil {
		t.Errorf("got %+v", m)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("the end is no error")
	}
}
