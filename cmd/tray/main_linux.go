//go:build cgo

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/getlantern/systray"
)

// goodbye bounds the time for taking everything off the screen at the end.
const goodbye = 3 * time.Second

func main() {
	runtime.GOMAXPROCS(1) // there is little to do, and a second one is woken for every little thing
	// GTK would load OpenGL and a compiler for it, 55 MB that an icon and a menu do not need.
	_ = os.Setenv("GDK_GL", "disable")
	log.SetFlags(0)
	log.SetPrefix("stepaway-tray: ")
	socket, done, err := flags(os.Args[1:])
	if err != nil {
		log.Printf("%v; see stepaway-tray --help", err)
		os.Exit(2)
	}
	if done {
		return
	}
	if err := run(socket); err != nil {
		log.Fatal(err)
	}
}

// flags reads the command line; done says that it asked for no more than what is printed by now.
func flags(args []string) (socket string, done bool, err error) {
	f := flag.NewFlagSet("stepaway-tray", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&socket, "link", "/run/stepaway/link.sock", "`socket` of the enforcer")
	ask := f.Bool("version", false, "print the version and exit")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print("usage: stepaway-tray [--link SOCKET] [--version]\n\nShows the time left and the warning. Started at logon.\n\n")
		f.SetOutput(os.Stdout)
		f.PrintDefaults()
		return "", true, nil
	case err != nil:
		return "", false, err
	case f.NArg() > 0:
		return "", false, fmt.Errorf("unexpected %q", f.Arg(0))
	case socket == "":
		return "", false, errors.New("--link is empty")
	case *ask:
		fmt.Println("stepaway-tray", version)
	}
	return socket, *ask, nil
}

func run(socket string) error {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		lock, err := single(dir, sessionName())
		if err != nil {
			return err
		}
		defer lock.Close()
		os.Setenv("TMPDIR", dir) // where systray keeps its icon: private, and gone after the logout
	}
	if !haveDisplay() {
		return errors.New("no display: stepaway-tray runs in a graphical session")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	var failed error
	ended := make(chan struct{})
	systray.Run(func() {
		failed = newApp(socket, sessionID()).run(ctx)
		close(ended)
		systray.Quit()
	}, nil)
	select {
	case <-ended:
	case <-time.After(goodbye):
	}
	return failed
}

// sessionID is logind's name of this session; without one the enforcer finds it.
func sessionID() string {
	if id := os.Getenv("XDG_SESSION_ID"); id != "" {
		return id
	}
	return "self"
}

// sessionName tells the sessions of one user apart.
func sessionName() string {
	for _, name := range []string{"XDG_SESSION_ID", "WAYLAND_DISPLAY", "DISPLAY"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return "self"
}
