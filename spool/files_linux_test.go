package spool

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

func init() {
	children[asLimited], children[asScript] = writeLimited, asScripted
}

const (
	fewKills    = 200
	compactSoon = 40 << 10
)

// asChild is this test's program as a child, which under the race detector must not sleep before it ends.
func asChild(t testing.TB, verb, path string) *exec.Cmd {
	return exec.Command("/usr/bin/env", "GORACE=atexit_sleep_ms=0", self(t), verb, path)
}

// inChild checks in a child of the test.
func inChild(t testing.TB) func(string) (Found, error) {
	return InChild("/usr/bin/env", "GORACE=atexit_sleep_ms=0", self(t), asCheck)
}

// checkModes: nobody else may read what the spool writes.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	for path, mode := range map[string]os.FileMode{"": 0o700, "spool.db": 0o600, "ack.json": 0o600, "spool.lock": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: mode %v, %v", path, info.Mode(), err)
		}
	}
}

func TestFileThatIsNoSpoolIsSetAside(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		make func(t *testing.T, path string)
	}{
		"garbage": {"damaged", func(t *testing.T, path string) { write(t, path, []byte("not a spool"), 0o600) }},
		"large garbage": {"damaged", func(t *testing.T, path string) {
			write(t, path, make([]byte, 1<<20), 0o600)
		}},
		"symlink": {"symlink", func(t *testing.T, path string) {
			write(t, path+".else", []byte("somebody's"), 0o600)
			must(t, os.Symlink(path+".else", path))
		}},
		"directory":         {"not-a-file", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }},
		"pipe":              {"not-a-file", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }},
		"writable to all":   {"mode", func(t *testing.T, path string) { write(t, path, nil, 0o666); must(t, os.Chmod(path, 0o666)) }},
		"second name":       {"links", func(t *testing.T, path string) { write(t, path, nil, 0o600); must(t, os.Link(path, path+".b")) }},
		"of somebody else":  {"owner", func(t *testing.T, path string) { write(t, path, nil, 0o600); must(t, os.Chown(path, 12345, 12345)) }},
		"empty":             {"", func(t *testing.T, path string) { write(t, path, nil, 0o600) }},
		"readable by group": {"", func(t *testing.T, path string) { write(t, path, nil, 0o640) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, filepath.Join(dir, fileName))
			s, r := open(t, dir, Options{Check: inChild(t)})
			if r.Code != c.code || len(asides(t, dir)) != map[bool]int{true: 1, false: 0}[c.code != ""] {
				t.Fatalf("%+v, aside: %v", r, asides(t, dir))
			}
			mustAppend(t, s, events("a", 7, 7)...)
			if c.code == "" {
				wantWords(t, s, "spool.gap ref=a 1-6 count=6 lost", "lock.proved a/7")
				return
			}
			wantWords(t, s, "spool.quarantined ref= 0-0 count=0 "+c.code, "lock.proved a/7") // what came before may be in the bad file
		})
	}
}

func TestUnusableDirectoryIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, nil, 0o600)
	other := filepath.Join(t.TempDir(), "d")
	must(t, os.Mkdir(other, 0o700))
	must(t, os.Chown(other, 12345, 12345))
	link := filepath.Join(t.TempDir(), "l")
	must(t, os.Symlink(t.TempDir(), link))
	for _, dir := range []string{file, other, link} {
		if s, _, err := Open(dir, Options{}); err == nil {
			s.Close()
			t.Errorf("%s was taken", dir)
		}
	}
}

func bodies(t testing.TB, s *Spool) [][]byte {
	t.Helper()
	rs, err := s.Next(0, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var bs [][]byte
	for _, r := range rs {
		bs = append(bs, r.Body)
	}
	return bs
}

func sameBodies(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// wait wants the child to end by itself within a minute.
func (c *child) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		t.Error("the child hangs")
		c.cmd.Process.Kill()
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}
