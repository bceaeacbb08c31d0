//go:build linux

package rig

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TwoMonitors starts an X server with two monitors of 1024x768 side by side and returns its display. They are real outputs
// of the RandR extension, which only a server that is seen over VNC can have more than one of.
func TwoMonitors(t testing.TB) (display string) {
	t.Helper()
	path := filepath.Join(shortDir(t), "vnc")
	display = ":" + announce(t, exec.Command(Tool(t, "Xvnc"), "-displayfd", "3", "-ac", "-noreset", "-geometry", "2048x768",
		"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", path))
	var last error
	defer func() {
		if t.Failed() {
			t.Logf("make two monitors of one: %v", last)
		}
	}()
	WaitFor(t, "two monitors", func() bool { // the server may begin its display before it takes viewers
		last = split(path)
		out, err := exec.Command(Tool(t, "xrandr"), "-display", display, "-q").Output()
		return err == nil && strings.Count(string(out), " connected 1024x768") == 2
	})
	return display
}

// split asks for the two monitors as a viewer does that has two: SetDesktopSize of the protocol of VNC (RFC 6143, and
// "Extended Desktop Size" of its community's additions).
func split(path string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 12)); err != nil { // the version
		return err
	}
	if _, err := c.Write([]byte("RFB 003.008\n\x01\x01")); err != nil { // no password, shared
		return err
	}
	var init struct {
		_      [1 + 1 + 4]byte // one type of security: none; accepted
		W, H   uint16
		_      [16]byte
		Length uint32
	}
	if err := binary.Read(c, binary.BigEndian, &init); err != nil {
		return err
	}
	if init.W != 2048 || init.H != 768 || init.Length > 1000 {
		return fmt.Errorf("a screen of %dx%d", init.W, init.H)
	}
	if _, err := io.ReadFull(c, make([]byte, init.Length)); err != nil { // its name
		return err
	}
	type screen struct {
		ID         uint32
		X, Y, W, H uint16
		Flags      uint32
	}
	ask := []any{
		uint8(2), uint8(0), uint16(2), int32(0), int32(-308), // encodings: raw, and monitors
		uint8(3), uint8(0), [4]uint16{0, 0, init.W, init.H}, // a picture
	}
	if err := write(c, ask...); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // it answers: the encodings are known
		return err
	}
	return write(c, uint8(251), uint8(0), init.W, init.H, uint8(2), uint8(0),
		screen{ID: 1, W: 1024, H: 768}, screen{ID: 2, X: 1024, W: 1024, H: 768})
}

func write(w io.Writer, values ...any) error {
	for _, v := range values {
		if err := binary.Write(w, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}
