package link

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestOnlyRootAndOneselfAreTrusted(t *testing.T) {
	for _, c := range []struct {
		peer, own uint32
		want      bool
	}{{0, 1000, true}, {1000, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}} {
		if got := trusted(c.peer, c.own); got != c.want {
			t.Errorf("peer %d, own %d: %v", c.peer, c.own, got)
		}
	}
}

// The attack: the enforcer's end reads nothing. A beat fails, it does not hang.
func TestAttackBeatsThatNobodyReads(t *testing.T) {
	stop := make(chan struct{})
	path := answer(t, func(net.Conn) { <-stop })
	c, err := Open(path, Hello{Role: RoleTray})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer close(stop)
	for range 1 << 20 {
		if err = c.beat(); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("got %v", err)
	}
}
