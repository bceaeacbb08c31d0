//go:build (linux && cgo) || windows

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(1) // there is little to do, and a second one is woken for every little thing
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
	f.StringVar(&socket, "link", usualLink, "`socket` of the enforcer, a pipe on Windows")
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
