package wts

import (
	"bytes"
	"context"
	"log/slog"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/session"
)

func open(t *testing.T, o Options) *WTS {
	t.Helper()
	w, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestSnapshot: the one session that there is, with its user as the system itself calls him.
func TestSnapshot(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	var id uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{"of all": {}, "its own": {Own: true}} {
		list, err := open(t, o).Snapshot(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %+v, %v", name, list, err)
		}
		s := list[0]
		_, plainName, _ := strings.Cut(me.Username, `\`)
		if s.ID != strconv.FormatUint(uint64(id), 10) || s.SID != me.Uid || !strings.EqualFold(s.User, plainName) || s.UID != session.NoUID {
			t.Errorf("%s: %+v, want session %d of %+v", name, s, id, me)
		}
		if s.Kind != session.Console || s.Remote || !s.Active || s.Left != 0 || s.Since > clock.Now() {
			t.Errorf("%s: %+v", name, s)
		}
		if g := strings.Join(s.Groups, " "); !strings.Contains(g, "S-1-5-32-545") || !strings.Contains(g, `BUILTIN\`) {
			t.Errorf("%s: groups %q", name, s.Groups)
		}
	}
}

// TestSnapshotEndsWithItsContext and another can follow.
func TestSnapshotEndsWithItsContext(t *testing.T) {
	w := open(t, Options{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	w.mu.Lock()
	_, err := w.Snapshot(t.Context())
	w.mu.Unlock()
	if err == nil {
		t.Error("two looks at once")
	}
	_, _ = w.Snapshot(over) // either answer will do, at once
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err = w.Snapshot(t.Context()); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestNothingIsNoAnswer: Wine says of what it does not know that all is well, and gives no bytes.
func TestNothingIsNoAnswer(t *testing.T) {
	const unknown = 999
	if _, err := ask(1, unknown, parseText); err == nil {
		t.Error("an answer to what nobody knows")
	}
}

// TestNotices: a word of a session makes Changed tick, and Close ends the window and its thread.
func TestNotices(t *testing.T) {
	w := open(t, Options{})
	hwnd, made := <-w.notices.window
	if !made {
		t.Fatal("no window")
	}
	w.notices.window <- hwnd
	win.PostMessage(hwnd, wmSessionChange, 7, 1) // WTS_SESSION_LOCK; Wine never sends one
	select {
	case <-w.Changed():
	case <-time.After(time.Minute):
		t.Error("not told")
	}
	w.Close()
	w.Close()
	if windows.IsWindow(windows.HWND(hwnd)) {
		t.Error("the window is still there")
	}
}

// TestSleeps: who is ready lets the machine sleep at once, who is not holds it up for a while, who is gone not at all.
func TestSleeps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	words := Sleeps(ctx, slog.New(slog.NewTextHandler(&log, nil)))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		hearers.mu.Lock()
		n := len(hearers.all)
		hearers.mu.Unlock()
		if n == 1 {
			break
		}
	}
	slept := make(chan time.Duration, 1)
	sleep := func(going bool) {
		go func() {
			began := time.Now()
			tell(going)
			slept <- time.Since(began)
		}()
	}
	sleep(true)
	word := <-words
	if !word.Going {
		t.Error("going to sleep is told as waking")
	}
	select {
	case d := <-slept:
		t.Errorf("asleep after %v, before it was ready", d)
	case <-time.After(100 * time.Millisecond):
	}
	word.Ready()
	word.Ready()
	if d := <-slept; d >= heldFor {
		t.Errorf("held for %v", d)
	}
	sleep(true)
	<-words // and never ready
	if d := <-slept; d < heldFor || d > heldFor+30*time.Second {
		t.Errorf("held for %v", d)
	}
	sleep(false)
	if word = <-words; word.Going {
		t.Error("waking is told as going to sleep")
	}
	<-slept
	cancel()
	for range words {
	}
	sleep(true)
	if d := <-slept; d >= heldFor {
		t.Errorf("nobody held for %v", d)
	}
}

func TestGroupsOf(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	_, name, _ := strings.Cut(me.Username, `\`)
	groups, source, err := GroupsOf(t.Context(), strings.ToUpper(name))
	if err != nil || !strings.Contains(strings.Join(groups, " "), "S-1-5-32-545") || !strings.Contains(source, "session") {
		t.Errorf("%q %q %v", groups, source, err)
	}
	if groups, _, err := GroupsOf(t.Context(), "nobody-of-this-name"); err == nil {
		t.Errorf("%q", groups)
	}
}
