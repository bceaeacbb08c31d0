package link

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var myself = Peer{PID: int32(os.Getpid()), UID: uint32(os.Getuid())}

// publicDir is a directory that every user may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "link")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// address is a socket of the test's own, in a directory that is not there yet.
func address(t *testing.T) string { return filepath.Join(publicDir(t), "run", "agent.sock") }

// access lets every user in.
func access(*testing.T) os.FileMode { return 0o666 }

// dial connects without a look at who listens.
func dial(path string) (net.Conn, error) { return net.Dial("unix", path) }

// listen makes a socket that has nothing of the server's.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// checkGone looks that nothing is left of a server's socket.
func checkGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Fatalf("the socket is still there: %v", err)
	}
}

// descriptors counts what this program has open.
func descriptors(*testing.T) func() int {
	return func() int { l, _ := os.ReadDir("/proc/self/fd"); return len(l) }
}

func TestListen(t *testing.T) {
	path := filepath.Join(publicDir(t), "a", "b", "agent.sock")
	first, err := Listen(path, 0o600, newFakeHost(), NewOutbox("ab"))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", st, err)
	}
	if _, err := Listen(path, 0o666, newFakeHost(), NewOutbox("ab")); err == nil || !strings.Contains(err.Error(), "another agent answers") {
		t.Errorf("a second agent: %v", err)
	}
	first.listener.(*net.UnixListener).SetUnlinkOnClose(false) // as if killed
	first.listener.Close()
	again, err := Listen(path, 0o666, newFakeHost(), NewOutbox("ab"))
	if err != nil {
		t.Fatalf("after a dead agent: %v", err)
	}
	again.listener.Close()

	plain := filepath.Join(publicDir(t), "file")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func() error
		says string
	}{
		"file":            {func() error { return os.WriteFile(path, nil, 0o644) }, "something else"},
		"directory":       {func() error { return os.Mkdir(path, 0o755) }, "something else"},
		"link to a file":  {func() error { return os.Symlink(plain, path) }, "something else"},
		"link to nothing": {func() error { return os.Symlink("gone", path) }, "address already in use"},
		"open directory":  {func() error { return os.Chmod(filepath.Dir(path), 0o777) }, "others may write it"},
	} {
		os.Remove(path)
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		if s, err := Listen(path, 0o666, newFakeHost(), NewOutbox("ab")); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		os.Chmod(filepath.Dir(path), 0o755)
	}
}

// TestBusyAgentIsNotReplaced: an agent whose backlog is full does not answer, and yet lives.
func TestBusyAgentIsNotReplaced(t *testing.T) {
	path := filepath.Join(publicDir(t), "agent.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			break
		}
		defer c.Close()
	}
	if _, err := Listen(path, 0o666, newFakeHost(), NewOutbox("ab")); err == nil || !strings.Contains(err.Error(), "another agent may answer") {
		t.Errorf("a busy agent: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket: %v", err)
	}
}
