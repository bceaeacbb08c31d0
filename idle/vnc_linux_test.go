package idle

import (
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/clock"
	"stepaway/session"
)

// person is a client of a VNC server: the remote user's keyboard and mouse.
type person struct {
	t testing.TB
	c net.Conn
}

func connectPerson(t testing.TB, path string) person {
	t.Helper()
	var c net.Conn
	var err error
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err = net.Dial("unix", path); err == nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { c.Close() })
	p := person{t, c}
	p.read(12)
	p.write("RFB 003.008\n")
	p.read(int(p.read(1)[0]))
	p.write("\x01") // no password
	p.read(4)
	p.write("\x01") // shared
	head := p.read(24)
	p.read(int(binary.BigEndian.Uint32(head[20:])))
	return p
}

func (p person) read(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(p.c, b)
	must(p.t, err)
	return b
}

func (p person) write(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.c, s)
	must(p.t, err)
}

// What a remote person does on a VNC display is input; what a program injects there is not.
func TestRemotePersonIsToldFromPrograms(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("Xvnc"); err != nil {
		t.Fatalf("%v (run `make deps`)", err)
	}
	socket := filepath.Join(t.TempDir(), "rfb")
	x := start(t, nil, "Xvnc", authority(t, "a"), "-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", socket, "-geometry", "640x480")
	w := watch(t, Options{Display: x.display, Authority: x.authority}, me(session.X11))
	until(t, w, "c1", "the display", readable)
	if c := w.Choice("c1"); !strings.Contains(c.Why, "hardware=2") {
		t.Errorf("choice %+v", c)
	}
	x.do(t, "key", "a", "mousemove_relative", "50", "50")
	if in := until(t, w, "c1", "injected input", func(in Input) bool { return in.InjectedCount > 0 }); in.At != 0 {
		t.Errorf("xdotool: %+v", in)
	}
	p := connectPerson(t, socket)
	before := clock.Now()
	p.write("\x04\x01\x00\x00\x00\x00\x00a" + "\x04\x00\x00\x00\x00\x00\x00a")
	until(t, w, "c1", "the remote key", since(before-slack))
	for _, x := range []byte{10, 200} {
		before = clock.Now()
		p.write("\x05\x00\x00" + string([]byte{x}) + "\x00\x20")
	}
	until(t, w, "c1", "the remote mouse", since(before-slack))
}
