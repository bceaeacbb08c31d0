package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Power is an ext4 whose device is recorded: every write and every flush that reaches it, in order.
type Power struct {
	Dir string // where it is mounted

	t      testing.TB
	tree   *tree
	mu     sync.Mutex
	log    *Log
	refuse func(op Op, now int) bool
}

// Log is what a device was asked for, after it held something else.
type Log struct {
	ops     []entry
	settled *os.File // what the device held at first, and every write up to the flush before ops[done]
	done    int
	dir     string
}

type entry struct {
	flush bool
	off   int64
	data  []byte
}

// DiskSize is the size of the device in bytes.
const DiskSize = 32 << 20

// NewPower makes such a disk, which is gone at the end of the test.
func NewPower(t testing.TB) *Power {
	t.Helper()
	needs(t, "mkfs.ext4")
	dir := memory(t)
	p := &Power{t: t, Dir: t.TempDir()}
	p.tree = &tree{direct: true, before: p.record}
	fuse := t.TempDir()
	if err := mountTree(p.tree, fuse); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.tree.close(); err != nil {
			t.Errorf("end of the disk: %v", err)
		}
	})
	p.tree.mu.Lock()
	img := p.tree.add(p.tree.nodes[1], "disk.img", unix.S_IFREG|0o600)
	img.back = blank(t, filepath.Join(dir, "disk"))
	p.tree.mu.Unlock()
	loop := attach(t, filepath.Join(fuse, "disk.img"))
	out, err := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=1", loop.Name()).CombinedOutput()
	if err != nil {
		t.Fatalf("make a file system: %v\n%s", err, out)
	}
	mount(t, loop, p.Dir)
	p.Sync()
	settled := blank(t, filepath.Join(dir, "settled"))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := duplicate(img.back, settled); err != nil {
		t.Fatal(err)
	}
	p.log = &Log{settled: settled, dir: dir}
	return p
}

// memory makes a directory in memory.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "stepaway-disk-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// blank makes a file of DiskSize without anything in it, closed at the end of the test.
func blank(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(DiskSize)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// duplicate copies what is not a hole of from to a blank file.
func duplicate(from, to *os.File) error {
	for at := int64(0); ; {
		begin, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		if at, err = unix.Seek(int(from.Fd()), begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, begin), io.NewSectionReader(from, begin, at-begin)); err != nil {
			return err
		}
	}
}

// needs fails the test where a program is missing.
func needs(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: run `make deps`", program)
	}
}

func (p *Power) record(op Op) (int, syscall.Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log == nil {
		return 0, 0
	}
	if p.refuse != nil && p.refuse(op, len(p.log.ops)) {
		return 0, unix.EIO
	}
	p.log.ops = append(p.log.ops, entry{flush: op.Kind == Sync, off: op.Off, data: bytes.Clone(op.Data)})
	return 0, 0
}

// Refuse has f decide of each write and flush of the device, and of how many there were before, whether it fails with EIO
// and changes nothing.
func (p *Power) Refuse(f func(op Op, now int) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = f
}

// Now is how many requests the device has had.
func (p *Power) Now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.log.ops)
}

// Sync writes out what the kernel still holds, as it would do by itself some seconds later.
func (p *Power) Sync() {
	d, err := os.Open(p.Dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer d.Close()
	_ = unix.Syncfs(int(d.Fd())) // an error here is one that the test asked for
}

// Stop ends the recording and answers it. Nothing may have a file open on the disk.
func (p *Power) Stop() *Log {
	p.mu.Lock()
	l := p.log
	p.log, p.refuse = nil, nil
	p.mu.Unlock()
	if err := unix.Unmount(p.Dir, 0); err != nil {
		p.t.Errorf("unmount the disk: %v", err)
	}
	return l
}

// Len is how many requests were recorded.
func (l *Log) Len() int { return len(l.ops) }

// Flushes is how many of them were flushes.
func (l *Log) Flushes() (n int) {
	for _, o := range l.ops {
		if o.flush {
			n++
		}
	}
	return n
}

const (
	sector     = 512  // what a device writes as a whole
	superblock = 4096 // ends here; ext4 reads it before its journal and relies on the device for the whole of it
)

// Cut lets the power go before request at, which may not be before that of an earlier call, and gives f what is then on
// the disk. With r some of what was not flushed is lost, or torn between sectors; without, all of it has arrived.
func (l *Log) Cut(t testing.TB, at int, r *rand.Rand, f func(dir string)) {
	t.Helper()
	last := at
	for last > l.done && !l.ops[last-1].flush {
		last--
	}
	for ; l.done < last; l.done++ {
		put(t, l.settled, l.ops[l.done], len(l.ops[l.done].data))
	}
	path := filepath.Join(l.dir, "cut")
	image := blank(t, path)
	defer os.Remove(path)
	defer image.Close()
	if err := duplicate(l.settled, image); err != nil {
		t.Fatal(err)
	}
	for _, o := range l.ops[l.done:at] {
		put(t, image, o, arrived(o, r))
	}
	dir := t.TempDir()
	mount(t, attach(t, path), dir)
	f(dir)
	if err := unmount(dir); err != nil {
		t.Errorf("unmount a cut disk: %v", err)
	}
}

// unmount waits a while for whoever still has a file open there, such as a child that another test is just starting.
func unmount(dir string) (err error) {
	for range 100 {
		if err = unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// put does the first n bytes of a write.
func put(t testing.TB, f *os.File, o entry, n int) {
	if _, err := f.WriteAt(o.data[:n], o.off); err != nil {
		t.Fatal(err)
	}
}

// arrived is how many bytes of a write that was not flushed the device keeps.
func arrived(o entry, r *rand.Rand) int {
	switch {
	case r == nil || r.IntN(2) == 0:
		return len(o.data)
	case r.IntN(2) == 0 || o.off < superblock:
		return 0
	}
	return r.IntN(len(o.data)/sector+1) * sector
}

// attach makes a loop device of the file at path, which goes with its last user. The caller closes it.
func attach(t testing.TB, path string) *os.File {
	t.Helper()
	back, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) // an os.File would be polled, and stop the runtime that has to answer
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer unix.Close(back)
	for range 200 {
		loop, err := attachFree(back)
		if err == nil {
			return loop
		}
		if !errors.Is(err, unix.EBUSY) {
			t.Fatalf("attach a loop device: %v; these tests need FUSE, loop devices and root", err)
		}
		runtime.Gosched() // somebody else took it
	}
	t.Fatal("attach a loop device: none stays free")
	return nil
}

func attachFree(back int) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/dev/loop%d", n)
	if err := unix.Mknod(name, unix.S_IFBLK|0o600, 7<<8|n); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	loop, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := &unix.LoopConfig{Fd: uint32(back)}
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), c); err != nil {
		loop.Close()
		return nil, err
	}
	return loop, nil
}

// mount mounts a loop device, closes it, and sees to it that it is unmounted at the end.
func mount(t testing.TB, loop *os.File, dir string) {
	t.Helper()
	err := unix.Mount(loop.Name(), dir, "ext4", unix.MS_NOATIME, "")
	loop.Close()
	if err != nil {
		t.Fatalf("mount a cut disk: %v", err)
	}
	t.Cleanup(func() { // does nothing where the test has unmounted it
		if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil && strings.Contains(string(mounts), " "+dir+" ") {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
}
