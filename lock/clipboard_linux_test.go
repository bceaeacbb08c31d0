package lock

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/policy"
	"stepaway/session"
	"stepaway/test/rig"
	"stepaway/x11"
)

// board is an X server with a clipboard.
type board struct {
	*testing.T
	display string
	l       *Ladder
	s       session.Session
}

func newBoard(t *testing.T) *board {
	b := &board{T: t, display: rig.Xvfb(t), l: New(Options{Root: os.Getuid() == 0})}
	b.s = session.Session{ID: "c", UID: uint32(os.Getuid()), Kind: session.X11, Display: b.display}
	return b
}

var selections = []string{"clipboard", "primary", "secondary"}

// copies has a program own a selection.
func (b *board) copies(selection string) {
	b.Helper()
	cmd := exec.Command(rig.Tool(b, "xclip"), "-display", b.display, "-selection", selection, "-i", "-quiet")
	cmd.Stdin = strings.NewReader(canary)
	rig.Start(b, cmd)
	rig.WaitFor(b, "the "+selection, func() bool { return b.paste(selection) == canary })
}

func (b *board) paste(selection string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), rig.Patience)
	defer cancel()
	out, _ := exec.CommandContext(ctx, rig.Tool(b, "xclip"), "-display", b.display, "-selection", selection, "-o").Output()
	return string(out)
}

func (b *board) xprop(args ...string) string {
	b.Helper()
	out, err := exec.Command(rig.Tool(b, "xprop"), append([]string{"-display", b.display, "-root"}, args...)...).Output()
	if err != nil {
		b.Fatal(err)
	}
	return string(out)
}

func (b *board) clear(want string) (took time.Duration) {
	b.Helper()
	var steps []ClientStep
	began := time.Now()
	c := policy.Client{Name: "x", Paths: []string{"/opt/never"}, AtDeadline: policy.End, ClearClipboard: true}
	b.l.CloseClients(b.Context(), b.s, []policy.Client{c}, func(st ClientStep) { steps = append(steps, st) })
	if got := stepsOf(steps); got != want {
		b.Errorf("%q, want %q", got, want)
	}
	return time.Since(began)
}

func (b *board) connect() *x11.Conn {
	b.Helper()
	c, err := x11.Dial(b.Context(), b.display, x11.Cookie{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func TestClipboardIsCleared(t *testing.T) {
	b := newBoard(t)
	b.clear("")
	for _, s := range selections {
		b.copies(s)
	}
	for _, name := range []string{"CUT_BUFFER0", "CUT_BUFFER7"} {
		b.xprop("-f", name, "8s", "-set", name, canary)
	}
	b.clear("x:clipboard-cleared:5")
	conn := b.connect()
	for _, s := range selections {
		if got := b.paste(s); got != "" {
			t.Errorf("the %s still is %q", s, got)
		}
		atom, _ := conn.InternAtom(strings.ToUpper(s))
		if owner, err := conn.GetSelectionOwner(atom); owner != 0 || err != nil {
			t.Errorf("the %s is owned by %d, %v", s, owner, err)
		}
	}
	if out := b.xprop(); strings.Contains(out, "CUT_BUFFER") {
		t.Errorf("a cut buffer is left: %s", out)
	}
	b.clear("")
	b.copies("clipboard") // and it works as before
	b.clear("x:clipboard-cleared:1")
}

func TestClipboardThatIsPutBackIsSaid(t *testing.T) {
	b := newBoard(t)
	conn := b.connect()
	w, err := conn.CreateWindow(x11.Window{Width: 1, Height: 1})
	if err != nil {
		t.Fatal(err)
	}
	own := func() {
		_ = conn.SetSelectionOwner(w, x11.AtomPrimary)
		_ = conn.Sync()
	}
	own()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // a clipboard's keeper
			e, err := conn.Next(ctx)
			if err != nil {
				return
			}
			if e.Code == x11.SelectionClear {
				own()
			}
		}
	}()
	b.clear("x:clipboard:1")
	cancel()
	<-ended
}

func TestClipboardOfADisplayThatDoesNotAnswer(t *testing.T) {
	b := newBoard(t)
	b.copies("clipboard")
	pid, _, err := b.connect().Server()
	if err != nil {
		t.Fatal(err)
	}
	soon := func(what string) {
		t.Helper()
		if took := b.clear("x:clipboard:1"); took > clipboardLimit+rig.Patience/6 {
			t.Errorf("%s: took %v", what, took)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	soon("a stopped server")
	_ = syscall.Kill(pid, syscall.SIGCONT)
	release := b.grab()
	soon("a server that a program has for itself")
	release()
	b.clear("x:clipboard-cleared:1")
	b.s.Display = ":4000"
	soon("no server")
}

// grab has a client hold the whole server, which then answers nobody else.
func (b *board) grab() (release func()) {
	b.Helper()
	conn, err := net.Dial("unix", "/tmp/.X11-unix/X"+b.display[1:])
	if err != nil {
		b.Fatal(err)
	}
	const grabServer = 36
	greeting := []byte{'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if _, err := conn.Write(append(greeting, grabServer, 0, 1, 0)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	ctx := b.Context()
	rig.WaitFor(b, "the server to be grabbed", func() bool {
		limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		c, err := x11.Dial(limited, b.display, x11.Cookie{})
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	return func() { conn.Close() }
}

func TestClipboardsThatNobodyCanClear(t *testing.T) {
	b := &board{T: t, l: New(Options{}), s: session.Session{ID: "w", UID: uint32(os.Getuid()), Kind: session.Wayland, Display: ":0"}}
	b.clear("x:clipboard:1")
	b.s = session.Session{ID: "u", UID: uint32(os.Getuid()), Kind: session.Unknown}
	b.clear("x:clipboard:1")
	b.s.Kind = session.TTY
	b.clear("")
	b.s.Kind = session.SSH
	b.clear("")
}
