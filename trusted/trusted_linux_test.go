package trusted

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is the other user of the tests that run as root; what needs him is left out for others.
const nobody = 65534

func root() bool { return os.Geteuid() == 0 }

func self() uint32 { return uint32(os.Geteuid()) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// row prepares something in dir and says what came of it: "" is trusted, else a part of the error.
type row struct {
	name   string
	byRoot bool // needs another user
	make   func(t *testing.T, dir string) (path string)
	says   string
	is     error // ErrUnsafe unless set
}

func mode(m os.FileMode) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		p := put(t, dir+"/p.yaml", "limit: 10m")
		must(t, unix.Chmod(p, uint32(m.Perm())|uint32(m&0o7000)))
		return p
	}
}

func owned(uid, gid int) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		p := put(t, dir+"/p.yaml", "limit: 10m")
		must(t, os.Chown(p, uid, gid))
		return p
	}
}

// parent makes the file in a directory that then gets the mode and owner; -1 leaves the owner.
func parent(m uint32, uid int, below string) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		p := put(t, filepath.Join(dir, "etc", below, "p.yaml"), "limit: 10m")
		must(t, os.Chown(dir+"/etc", uid, -1))
		must(t, unix.Chmod(dir+"/etc", m))
		return p
	}
}

// special makes something that is no file.
func special(make func(path string) error) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		must(t, make(dir+"/p.yaml"))
		return dir + "/p.yaml"
	}
}

func linked(link func(old, new string) error) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		must(t, link(put(t, dir+"/real.yaml", "limit: 10m"), dir+"/p.yaml"))
		return dir + "/p.yaml"
	}
}

var rows = []row{
	{"plain", false, mode(0o644), "", nil},
	{"only its owner", false, mode(0o600), "", nil},
	{"read only", false, mode(0o444), "", nil},
	{"executable", false, mode(0o755), "", nil},
	{"setuid", false, mode(0o4755), "", nil},
	{"group may write", false, mode(0o664), "run: chmod go-w", nil},
	{"others may write", false, mode(0o646), "run: chmod go-w", nil},
	{"all may write", false, mode(0o666), "run: chmod go-w", nil},
	{"all may write only", true, mode(0o222), "run: chmod go-w", nil},
	{"sticky and all may write", false, mode(0o1666), "run: chmod go-w", nil},
	{"another's", true, owned(nobody, 0), "owned by uid 65534; run: chown root", nil},
	{"another's and his group's", true, owned(nobody, nobody), "run: chown root", nil},
	{"another group's", true, owned(0, nobody), "", nil},
	{"another group's that may write", true, func(t *testing.T, dir string) string {
		p := owned(0, nobody)(t, dir)
		must(t, os.Chmod(p, 0o664))
		return p
	}, "run: chmod go-w", nil},
	{"link to a file", false, linked(os.Symlink), "symbolic link; use the real path", nil},
	{"link to nothing", false, special(func(p string) error { return os.Symlink(p+".gone", p) }), "symbolic link", nil},
	{"link to itself", false, special(func(p string) error { return os.Symlink(p, p) }), "symbolic link", nil},
	{"link to shadow", false, special(func(p string) error { return os.Symlink("/etc/shadow", p) }), "symbolic link", nil},
	{"link to an open file of this process", false, func(t *testing.T, dir string) string {
		f, err := os.Open(put(t, dir+"/real.yaml", "limit: 10m"))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}, "symbolic link", nil},
	{"root by a link of proc", false, func(t *testing.T, dir string) string {
		return "/proc/self/root" + put(t, dir+"/p.yaml", "limit: 10m")
	}, "symbolic link", nil},
	{"two hard links", false, linked(os.Link), "2 hard links; copy it", nil},
	{"fifo", false, special(func(p string) error { return unix.Mkfifo(p, 0o644) }), "put a plain file there", nil},
	{"directory", false, special(func(p string) error { return os.Mkdir(p, 0o755) }), "put a plain file there", nil},
	{"socket", false, func(t *testing.T, dir string) string {
		l, err := net.Listen("unix", dir+"/p.yaml")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		return dir + "/p.yaml"
	}, "put a plain file there", nil},
	{"null device", false, func(*testing.T, string) string { return "/dev/null" }, "put a plain file there", nil},
	{"device of nothing", true, special(func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(240, 99))) }), "", fs.ErrInvalid},
	{"block device of nothing", true, special(func(p string) error { return unix.Mknod(p, unix.S_IFBLK|0o644, int(unix.Mkdev(240, 99))) }), "", fs.ErrInvalid},
	{"missing", false, func(_ *testing.T, dir string) string { return dir + "/p.yaml" }, "no such file", fs.ErrNotExist},
	{"missing directory", false, func(_ *testing.T, dir string) string { return dir + "/etc/p.yaml" }, "no such file", fs.ErrNotExist},
	{"empty name", false, func(_ *testing.T, dir string) string { return dir + "/" }, "put a plain file there", nil},
	{"file for a directory", false, func(t *testing.T, dir string) string { return put(t, dir+"/f", "") + "/p.yaml" }, "not a directory", fs.ErrInvalid},
	{"directory through a link", false, func(t *testing.T, dir string) string {
		put(t, dir+"/real/p.yaml", "limit: 10m")
		must(t, os.Symlink("real", dir+"/etc"))
		return dir + "/etc/p.yaml"
	}, "symbolic link", nil},
	{"directory above through a link", false, func(t *testing.T, dir string) string {
		put(t, dir+"/real/etc/p.yaml", "limit: 10m")
		must(t, os.Symlink(dir+"/real", dir+"/up"))
		return dir + "/up/etc/p.yaml"
	}, "symbolic link", nil},
	{"directory all may write", false, parent(0o777, -1, ""), "others may write the directory; run: chmod go-w", nil},
	{"directory the group may write", false, parent(0o775, -1, ""), "run: chmod go-w", nil},
	{"directory above all may write", false, parent(0o777, -1, "a/b"), "run: chmod go-w", nil},
	{"sticky directory", false, parent(0o1777, -1, ""), "", nil},
	{"sticky directory above", false, parent(0o1777, -1, "a"), "", nil},
	{"private directory", false, parent(0o700, -1, ""), "", nil},
	{"another's directory", true, parent(0o755, nobody, ""), "the directory is owned by uid 65534; run: chown root", nil},
	{"another's directory above", true, parent(0o755, nobody, "a/b"), "owned by uid 65534", nil},
	{"another's sticky directory", true, parent(0o1777, nobody, ""), "owned by uid 65534", nil},
	{"directory with dots", false, func(t *testing.T, dir string) string {
		put(t, dir+"/a/p.yaml", "limit: 10m")
		return dir + "/b/../a/./p.yaml"
	}, "", nil},
}

func TestRead(t *testing.T) {
	for _, r := range rows {
		if r.byRoot && !root() {
			continue
		}
		dir := t.TempDir()
		path := r.make(t, dir)
		began := time.Now()
		text, err := Read(path, self(), 1<<20)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %s", r.name, took)
		}
		switch {
		case r.says == "" && r.is == nil:
			if err != nil || string(text) != "limit: 10m" {
				t.Errorf("%s: %q, %v", r.name, text, err)
			}
			continue
		case err == nil || text != nil:
			t.Errorf("%s: taken: %q, %v", r.name, text, err)
			continue
		case !strings.Contains(err.Error(), r.says) || !strings.Contains(err.Error(), dir) && !strings.Contains(err.Error(), path):
			t.Errorf("%s: error %q does not say %q and where", r.name, err, r.says)
		}
		switch {
		case r.is == nil && !errors.Is(err, ErrUnsafe), r.is == fs.ErrNotExist && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: error %v is of another kind", r.name, err)
		case r.is != fs.ErrNotExist && errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %v passes for a missing file", r.name, err)
		}
	}
}

func TestAllowedOwner(t *testing.T) {
	if root() {
		p := owned(nobody, nobody)(t, t.TempDir())
		for owner, good := range map[uint32]bool{0: false, 1: false, nobody: true} {
			if _, err := Read(p, owner, 1<<20); (err == nil) != good {
				t.Errorf("a file of %d for owner %d: %v", nobody, owner, err)
			}
		}
		if _, err := Read(parent(0o755, nobody, "a")(t, t.TempDir()), nobody, 1<<20); err != nil {
			t.Errorf("a directory of the allowed owner: %v", err)
		}
		if _, err := Read(mode(0o644)(t, t.TempDir()), nobody, 1<<20); err != nil {
			t.Errorf("a file of root beside another allowed owner: %v", err)
		}
		return
	}
	p := mode(0o644)(t, t.TempDir())
	if _, err := Read(p, 0, 1<<20); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a file of %d for owner 0: %v", self(), err)
	}
	must(t, os.Chmod(p, 0))
	if _, err := Read(p, self(), 1<<20); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
}

// TestUnreadableForAUser reads as another user what only root may.
func TestUnreadableForAUser(t *testing.T) {
	if !root() {
		return // TestAllowedOwner has it
	}
	dir, err := os.MkdirTemp("", "stepaway")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	p := mode(0o600)(t, dir)
	if err := asNobody(func() error { _, err := Read(p, nobody, 1<<20); return err }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want permission denied", err)
	}
}

// asNobody runs f on a thread that looks at files as another user, and throws the thread away.
func asNobody(f func() error) error {
	out := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(nobody); err != nil {
			out <- err
			return
		}
		out <- f()
	}()
	return <-out
}

func TestReadsNoMoreThanAllowed(t *testing.T) {
	p := put(t, t.TempDir()+"/p.yaml", strings.Repeat("#", 1000))
	if b, err := Read(p, self(), 100); err != nil || len(b) != 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestRoots: what Read takes of root's, less what others may have put there.
func TestRoots(t *testing.T) {
	if !root() {
		if err := Roots(mode(0o644)(t, t.TempDir())); !errors.Is(err, ErrUnsafe) {
			t.Errorf("a user's file: %v", err)
		}
		return
	}
	if err := Roots(mode(0o600)(t, ownDir(t))); err != nil {
		t.Errorf("a plain file: %v", err)
	}
	if err := Roots(ownDir(t) + "/p.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, r := range rows {
		dir := ownDir(t)
		path := r.make(t, dir)
		_, readErr := Read(path, 0, 1<<20)
		err := Roots(path)
		if want := readErr == nil && !strings.HasPrefix(r.name, "sticky directory"); (err == nil) != want {
			t.Errorf("%s: %v, and read: %v", r.name, err, readErr)
		}
		if err != nil && !errors.Is(err, ErrUnsafe) && r.is == nil {
			t.Errorf("%s: %v is of another kind", r.name, err)
		}
	}
	if err := Roots(mode(0o644)(t, t.TempDir())); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a file below a directory that all may write: %v", err)
	}
}

// ownDir makes a directory that nobody else can write, nor any above it.
func ownDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "trusted")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestSwapRace exchanges a good file and a bad one, or a link to one, under the reader.
func TestSwapRace(t *testing.T) {
	for name, bad := range map[string]func(t *testing.T, dir string) string{
		"file": func(t *testing.T, dir string) string { return foreign(t, dir+"/bad.yaml") },
		"link": func(t *testing.T, dir string) string {
			foreign(t, dir+"/target.yaml")
			must(t, os.Symlink("target.yaml", dir+"/bad.yaml"))
			return dir + "/bad.yaml"
		},
		"link to a good file": func(t *testing.T, dir string) string {
			put(t, dir+"/target.yaml", "limit: 24h")
			must(t, os.Symlink(dir+"/target.yaml", dir+"/bad.yaml"))
			return dir + "/bad.yaml"
		},
		"directory": func(t *testing.T, dir string) string {
			must(t, os.Mkdir(dir+"/bad.yaml", 0o755))
			return dir + "/bad.yaml"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			swapRace(t, put(t, dir+"/p.yaml", "limit: 10m"), bad(t, dir))
		})
	}
}

// foreign makes a file that others may have written.
func foreign(t *testing.T, path string) string {
	t.Helper()
	put(t, path, "limit: 24h")
	if root() {
		must(t, os.Chown(path, nobody, nobody))
	} else {
		must(t, os.Chmod(path, 0o666))
	}
	return path
}

const swaps = 100_000

func swapRace(t *testing.T, good, bad string) {
	swap := func() error { return unix.Renameat2(unix.AT_FDCWD, good, unix.AT_FDCWD, bad, unix.RENAME_EXCHANGE) }
	var done atomic.Bool
	swapped := make(chan error, 1)
	go func() {
		defer done.Store(true)
		for range swaps {
			if err := swap(); err != nil {
				swapped <- err
				return
			}
		}
		swapped <- nil
	}()
	taken, refused := 0, 0
	for i := 0; !done.Load() || i < 100; i++ {
		text, err := Read(good, self(), 1<<20)
		switch {
		case err == nil && string(text) == "limit: 10m":
			taken++
		case err != nil && text == nil && errors.Is(err, ErrUnsafe):
			refused++
		default:
			t.Fatalf("read %q, %v", text, err)
		}
	}
	must(t, <-swapped)
	must(t, swap())
	if _, err := Read(good, self(), 1<<20); !errors.Is(err, ErrUnsafe) {
		t.Errorf("the bad one stands there: %v", err)
	}
	t.Logf("%d taken, %d refused", taken, refused)
}

// TestSecret: what Read takes, unless others may read it.
func TestSecret(t *testing.T) {
	for m, good := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o604: false, 0o660: false, 0o601: false} {
		b, err := Secret(mode(m)(t, t.TempDir()), self(), 1<<20)
		if (err == nil) != good || good && string(b) != "limit: 10m" || !good && (b != nil || !errors.Is(err, ErrUnsafe)) {
			t.Errorf("%o: %q, %v", m, b, err)
		}
	}
	if _, err := Secret(linked(os.Symlink)(t, t.TempDir()), self(), 1<<20); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link: %v", err)
	}
}
