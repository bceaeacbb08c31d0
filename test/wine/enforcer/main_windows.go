// Command enforcer is the enforcer's end of the link for a test of the tray: it says what it is told to say, a line of JSON
// of link.State with times in milliseconds from now, and prints what the tray says. "look" prints what Notepad holds and
// which window is in front; "focus" gives the focus to the warning, "hide" hides it as another
// program of the user's can; "sign-out called off" is what Windows tells the tray then.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/link"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: enforcer PIPE")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(pipe string) error {
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	own := "O:" + me.User.Sid.String() + "D:(A;;GA;;;OW)" // a tray looks whose the pipe is
	l, err := winio.ListenPipe(pipe, &winio.PipeConfig{SecurityDescriptor: own})
	if err != nil {
		return err
	}
	defer l.Close()
	// Under Wine the pipe's first instance, which only holds the name, takes the first peer and never answers.
	if c, err := winio.DialPipe(pipe, nil); err == nil {
		defer c.Close()
	}
	fmt.Println("listening")
	var p peer
	go p.accept(l)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "hang up":
			p.hangUp()
			continue
		case "sign-out called off":
			if name, err := syscall.UTF16PtrFromString("SystrayClass"); err == nil {
				win.SendMessage(win.FindWindow(name, nil), win.WM_ENDSESSION, 0, 0)
				fmt.Println("called off")
			}
			continue
		case "hide":
			w := window("StepawayWarning")
			for ; w != 0; w = window("StepawayWarning") {
				win.SendMessage(w, win.WM_CLOSE, 0, 0)
				win.ShowWindow(w, win.SW_HIDE)
			}
			fmt.Println("hidden")
			continue
		case "look":
			look()
			continue
		case "focus":
			fmt.Println("focus", win.SetForegroundWindow(window("StepawayWarning")))
			continue
		}
		var s link.State
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return err
		}
		now := clock.Now().Milliseconds()
		s.DeadlineMS += now
		s.WarnMS += now
		if err := p.say(link.Message{State: &s}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// peer is the tray that connected last.
type peer struct {
	mu   sync.Mutex
	conn net.Conn
}

func (p *peer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go p.hear(c)
	}
}

func (p *peer) hear(c net.Conn) {
	defer c.Close()
	for {
		m, err := link.Read(c)
		switch {
		case err != nil:
			fmt.Println("gone")
			return
		case m.Hello != nil:
			p.mu.Lock()
			p.conn = c
			p.mu.Unlock()
			fmt.Println("hello", m.Hello.Role, m.Hello.Session, m.Hello.Version)
		case m.Beat != nil:
			fmt.Println("beat")
		case m.LockNow != nil:
			fmt.Println("lock now")
		default:
			fmt.Println("something else")
		}
	}
}

func (p *peer) say(m link.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return errors.New("nobody is connected")
	}
	return link.Write(p.conn, m)
}

func (p *peer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.Close()
}

// window finds the window to be seen of a class.
func window(of string) win.HWND {
	name, err := syscall.UTF16PtrFromString(of)
	if err != nil {
		return 0
	}
	w := win.FindWindow(name, nil)
	for ; w != 0; w = win.GetWindow(w, win.GW_HWNDNEXT) {
		if class(w) == of && win.IsWindowVisible(w) {
			return w
		}
	}
	return 0
}

func look() {
	edit := win.GetWindow(window("Notepad"), win.GW_CHILD)
	for edit != 0 && class(edit) != "Edit" {
		edit = win.GetWindow(edit, win.GW_HWNDNEXT)
	}
	fmt.Printf("front %q\nnotepad %q\n", text(win.GetForegroundWindow()), text(edit))
}

func class(w win.HWND) string {
	var b [64]uint16
	win.GetClassName(w, &b[0], len(b))
	return syscall.UTF16ToString(b[:])
}

func text(w win.HWND) string {
	var b [1024]uint16
	win.SendMessage(w, win.WM_GETTEXT, uintptr(len(b)), uintptr(unsafe.Pointer(&b[0])))
	return syscall.UTF16ToString(b[:])
}
