package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/getlantern/systray"
	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/notify"
	"stepaway/packaging"
	"stepaway/picture"
)

// goodbye bounds the time for taking everything off the screen at the end.
const goodbye = 3 * time.Second

// usualLink is where the enforcer's service listens.
const usualLink = packaging.LinkPipe

func run(pipe string) error {
	debug.SetGCPercent(20) // pictures of the warning are large and soon of no use
	// What a program loads later, it loads from the system's directory alone.
	if err := windows.SetDefaultDllDirectories(windows.LOAD_LIBRARY_SEARCH_SYSTEM32); err != nil {
		return fmt.Errorf("keep to the system's libraries: %w", err)
	}
	session, err := sessionID()
	if err != nil {
		return err
	}
	lock, err := single()
	if err != nil {
		return err
	}
	defer windows.CloseHandle(lock)
	if err := notify.ShowSharply(); err != nil {
		log.Print(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ready, ended := make(chan struct{}), make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = newApp(pipe, session).run(ctx, ready)
		stop()
	}()
	showIcon(ctx, ready)
	stop()
	select {
	case <-ended:
		return failed
	case <-time.After(goodbye):
		return errors.New("end: a part of the screen does not answer")
	}
}

// showIcon shows the icon until ctx ends, or the icon is told to end. systray knows no second try, and at a logon this
// program may be there before the task bar is; warnings do not wait for it.
func showIcon(ctx context.Context, ready chan<- struct{}) {
	for pause := firstPause; !taskBar(); pause = min(2*pause, mostPause) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	defer context.AfterFunc(ctx, systray.Quit)()
	systray.Run(func() { close(ready) }, func() { go comeBack(ctx) })
}

// comeBackAfter is how long the icon stays away when a sign-out was called off.
const comeBackAfter = 3 * time.Second

// comeBack shows the icon again, unless this program ends: systray takes it away when the person signs out, and does not
// hear that a program called the sign-out off. It does hear of a new task bar.
func comeBack(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(comeBackAfter):
	}
	created, err := syscall.UTF16PtrFromString("TaskbarCreated")
	if err != nil {
		return
	}
	var owner uint32
	w := find("SystrayClass")
	win.GetWindowThreadProcessId(w, &owner)
	if message := win.RegisterWindowMessage(created); message != 0 && owner == windows.GetCurrentProcessId() {
		win.PostMessage(w, message, 0, 0)
	}
}

func taskBar() bool { return find("Shell_TrayWnd") != 0 }

// find finds the first window of a class, 0 if there is none.
func find(class string) win.HWND {
	name, err := syscall.UTF16PtrFromString(class)
	if err != nil {
		return 0
	}
	return win.FindWindow(name, nil)
}

// sessionID is the number of this session.
func sessionID() (string, error) {
	var id uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id); err != nil {
		return "", fmt.Errorf("find this session: %w", err)
	}
	return strconv.FormatUint(uint64(id), 10), nil
}

var errSecond = errors.New("another stepaway-tray runs in this session")

// single holds a name that only one program of a session has. The system takes it back when the process ends.
func single() (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(`Local\StepawayTray`)
	if err != nil {
		return 0, err
	}
	lock, err := windows.CreateMutex(nil, false, name)
	switch {
	case errors.Is(err, windows.ERROR_ALREADY_EXISTS), errors.Is(err, windows.ERROR_ACCESS_DENIED):
		if lock != 0 {
			windows.CloseHandle(lock)
		}
		return 0, errSecond
	case err != nil:
		return 0, fmt.Errorf("take the tray's name: %w", err)
	}
	return lock, nil
}

// languages answers as an environment would that has the language of this person's Windows.
func languages(name string) string {
	if name != "LANG" {
		return ""
	}
	tags, err := windows.GetUserPreferredUILanguages(windows.MUI_LANGUAGE_NAME)
	if err != nil || len(tags) == 0 {
		return ""
	}
	return tags[0]
}

// startWarnings starts the warning's card and the dark monitors of the last seconds.
func (a *app) startWarnings(ctx context.Context, parts *sync.WaitGroup) {
	a.shower = notify.NewShower(clock.Now, a.words)
	screen := notify.NewScreen(a.shower.Report)
	a.shower.Notice, a.shower.Banner = screen.Notice(), screen.Banner()
	parts.Go(func() {
		if err := screen.Run(ctx); err != nil {
			log.Print(err)
		}
	})
	parts.Go(func() { a.shower.Run(ctx) })
}

// iconSizes are those of the notification area at 100 to 300 %, and of the dialogues that show it.
var iconSizes = []int{16, 20, 24, 32, 40, 48, 64}

// iconFile is an icon as systray takes it here.
func iconFile(i picture.Icon) ([]byte, error) { return i.ICO(iconSizes...), nil }

// setTitle does nothing: there is no room beside the icon.
func setTitle(string) {}

func setTooltip(text string) { systray.SetTooltip("Stepaway: " + text) }

// itemText is the text of an item as systray takes it here: one & would mark the next letter.
func itemText(s string) string { return strings.ReplaceAll(s, "&", "&&") }
