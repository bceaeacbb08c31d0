package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/lxn/win"

	"stepaway/audit"
	"stepaway/doctor"
	"stepaway/link"
)

// shortPolicy is in force while a person tries out the warning and the lock. It comes after every other file.
const (
	shortFile   = "zz-selftest.yaml"
	shortPolicy = "limit: 40s\nwarning: 20s\naction: lock\n"
	shortLimit  = 40 * time.Second
)

// handsWait is how long a person has for a step.
const handsWait = 2 * time.Minute

// hands makes the steps that need a person at this workstation.
func (t *selftest) hands(ctx context.Context) error {
	path := filepath.Join(filepath.Dir(t.paths.policy), "policy.d", shortFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there: remove it, another run may have left it (%v)", path, err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	ask := bufio.NewReader(os.Stdin)
	said := func(question string) bool {
		fmt.Fprint(os.Stderr, question+" [y/n] ")
		line, _ := ask.ReadString('\n')
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
	}
	if !said("Ten minutes with your hands at this workstation. A limit of 40 s holds meanwhile for everybody on it. Begin?") {
		return errors.New("not begun")
	}
	t.stillness(ctx)
	t.injected(ctx)
	t.movement(ctx)
	if err := os.WriteFile(path, []byte(shortPolicy), 0o644); err != nil {
		return fmt.Errorf("set the short limit: %w", err)
	}
	defer func() {
		if err := os.Remove(path); err != nil {
			t.say("policy.back", doctor.Fail, "remove %s: %v", path, err)
		}
	}()
	t.until(ctx, "policy", 10*time.Second, "the short limit is in force", func(s link.SessionStatus, _ link.Status) bool {
		return time.Duration(s.State.LimitMS)*time.Millisecond <= shortLimit
	})
	t.warning(ctx, said)
	t.locked(ctx)
	t.byHand(ctx)
	t.is("tray", yes(said("Is the icon of Stepaway in the notification area, and does its menu say how much time is left?")), "seen")
	return nil
}

func yes(y bool) error {
	if y {
		return nil
	}
	return errors.New("a person says no")
}

// until waits for a state of the own session.
func (t *selftest) until(ctx context.Context, id string, within time.Duration, saw string, cond func(link.SessionStatus, link.Status) bool) bool {
	var last link.SessionStatus
	for end := time.Now().Add(within); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		s, st, err := t.own()
		if err == nil && cond(s, st) {
			t.say(id, doctor.OK, "%s", saw)
			return true
		}
		last = s
	}
	t.say(id, doctor.Fail, "not within %v: %s; the session is %s, idle %s, limit %s, proof %s", within, saw, last.State.Phase, ms(last.IdleMS), ms(last.State.LimitMS), last.Proof)
	return false
}

func (t *selftest) stillness(ctx context.Context) {
	fmt.Fprintln(os.Stderr, "Take your hands off mouse and keyboard until you are told.")
	t.until(ctx, "input.still", handsWait, "untouched, the idle time grows", func(s link.SessionStatus, _ link.Status) bool { return s.IdleMS > 10_000 })
}

// injected moves the pointer as a program does, while nobody touches it.
func (t *selftest) injected(ctx context.Context) {
	move := win.MOUSE_INPUT{Type: win.INPUT_MOUSE, Mi: win.MOUSEINPUT{Dx: 3, Dy: 3, DwFlags: win.MOUSEEVENTF_MOVE}}
	for range 20 {
		if win.SendInput(1, unsafe.Pointer(&move), int32(unsafe.Sizeof(move))) != 1 {
			t.say("input.injected", doctor.Fail, "the pointer could not be moved")
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.until(ctx, "input.injected", 5*time.Second, "what a program moved puts nothing off, and is counted", func(s link.SessionStatus, st link.Status) bool {
		return s.IdleMS > 10_000 && st.Totals != nil && st.Totals.Events[audit.InputInjected] > 0
	})
}

func (t *selftest) movement(ctx context.Context) {
	fmt.Fprintln(os.Stderr, "\aNow move the mouse.")
	t.until(ctx, "input.mouse", handsWait, "a hand at the mouse is seen", func(s link.SessionStatus, _ link.Status) bool { return s.IdleMS >= 0 && s.IdleMS < 2000 })
}

func (t *selftest) warning(ctx context.Context, said func(string) bool) {
	fmt.Fprintln(os.Stderr, "\aHands off again, until a warning is in front. Then press Continue.")
	if t.until(ctx, "warning", handsWait, "the warning was due", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Warned }) {
		t.until(ctx, "warning.continue", shortLimit, "Continue put the deadline off", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Active })
	}
	t.is("warning.seen", yes(said("Was the warning in front on the screen with the pointer, with a countdown, and did the keyboard stay where it was?")), "seen")
}

func (t *selftest) locked(ctx context.Context) {
	fmt.Fprintln(os.Stderr, "\aHands off once more, until the workstation is locked. Then unlock it with your password.")
	if t.until(ctx, "lock", handsWait, "locked at the deadline, and proved", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Secured }) {
		if s, st, err := t.own(); err == nil && st.Totals != nil {
			t.say("lock.proof", doctor.Note, "proof %s, latest lock %d ms after its deadline at most", s.Proof, st.Totals.LateMaxMS)
		}
	}
	t.until(ctx, "unlock", handsWait, "the unlock was seen", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Active })
}

func (t *selftest) byHand(ctx context.Context) {
	fmt.Fprintln(os.Stderr, "\aPress Windows+L. Wait ten seconds. Then unlock.")
	t.until(ctx, "lock.manual", handsWait, "a lock by the user was seen", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Secured })
	t.until(ctx, "unlock.manual", handsWait, "and its unlock", func(s link.SessionStatus, _ link.Status) bool { return s.State.Phase == link.Active })
}
