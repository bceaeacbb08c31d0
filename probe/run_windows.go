package probe

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/windows"
)

// LockHere asks Windows to lock the desktop of this process.
func LockHere() error {
	if err := lockWorkStation(); err != nil {
		return fmt.Errorf("lock this desktop: %w", err)
	}
	return nil
}

// Run is the probe: it sees the input of the desktop it is on, and does what it is asked. It ends when in does, or when what it
// reads there is not of the protocol.
func Run(in io.Reader, out io.Writer) error {
	first, err := readAsked(in)
	if err != nil {
		return fmt.Errorf("listen to the service: %w", err)
	}
	if first.Beat == 0 {
		return fmt.Errorf("listen to the service: %w: no beat", errFrame)
	}
	s := &speaker{w: out}
	ended := make(chan error, 2)
	go func() { ended <- obey(in, s) }()
	go func() { ended <- watch(first.Beat, s) }()
	if err = <-ended; errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// speaker writes one frame at a time.
type speaker struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *speaker) say(h heard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFrame(s.w, h); err != nil {
		return fmt.Errorf("speak to the service: %w", err)
	}
	return nil
}

// obey does what is asked, side by side: what a program of the user holds up, as it can the clipboard, must not hold up a lock.
func obey(in io.Reader, s *speaker) error {
	clipboard := make(chan struct{}, 1)
	for {
		a, err := readAsked(in)
		if err != nil {
			return fmt.Errorf("listen to the service: %w", err)
		}
		if a.ID == 0 {
			return fmt.Errorf("listen to the service: %w: a request without a number", errFrame)
		}
		go func() {
			n, err := do(a, clipboard)
			// Who cannot be answered is gone, and obey hears of it.
			_ = s.say(heard{Answer: &answer{ID: a.ID, OK: err == nil, Errno: errno(err), N: n}})
		}()
	}
}

func errno(err error) uint32 {
	var e windows.Errno
	if errors.As(err, &e) {
		return uint32(e)
	}
	return 0
}
