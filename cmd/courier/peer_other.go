//go:build !linux

package main

import (
	"errors"
	"net"
)

func checkPeer(*net.UnixConn) error { return errors.New("not on this system yet") }

func giveAway(string) error { return nil }
