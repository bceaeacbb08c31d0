//go:build cgo

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var errSecond = errors.New("another stepaway-tray runs in this session")

// single holds the lock of the only tray of a session; it is let go when the process ends. One user may have
// several sessions that share dir, so the file bears the session's name.
func single(dir, session string) (*os.File, error) {
	name := "stepaway-tray." + strings.Map(fileRune, session) + ".lock"
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the tray's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errSecond
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fileRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		return r
	}
	return '_'
}
