package sdnotify

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestMain is also the program that is given sockets: it says what Listener makes of them.
func TestMain(m *testing.M) {
	path := os.Getenv("SDNOTIFY_TEST_PATH")
	if path == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_PID") == "self" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	l, err := Listener(path)
	fmt.Print(l != nil, " ", err != nil, " ", os.Getenv("LISTEN_FDS"))
	if l != nil {
		c, err := l.Accept()
		if err == nil {
			c.Write([]byte("hello"))
			c.Close()
		}
		l.Close()
	}
	os.Exit(0)
}

func TestListener(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "s"), filepath.Join(dir, "other")
	var files []*os.File
	for _, p := range []string{other, path} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, c := range []struct {
		name, pid, fds, path string
		files                []*os.File
		want                 string
	}{
		{"ours is the second", "self", "2", path, files, "true false "},
		{"a plain file is none", "self", "1", path, []*os.File{plain}, "false false "},
		{"another's path", "self", "1", path, files[:1], "false false "},
		{"meant for another process", "1", "2", path, files, "false false "},
		{"nothing", "", "", path, nil, "false false "},
		{"not a number", "self", "x", path, files, "false true "},
		{"far too many", "self", "1000000", path, files, "false true "},
		{"more than there are", "self", "5", path, files, "true false "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{"SDNOTIFY_TEST_PATH=" + c.path, "LISTEN_PID=" + c.pid, "LISTEN_FDS=" + c.fds}
			cmd.ExtraFiles = c.files
			if c.want[0] == 't' { // it waits in the backlog, as a peer does while the agent is restarted
				conn, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != c.want {
				t.Errorf("said %q, %v, want %q", out, err, c.want)
			}
			if _, err := os.Stat(path); err != nil {
				t.Error("the socket went with the program:", err)
			}
		})
	}
}
