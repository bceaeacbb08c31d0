// Package disk makes disks for tests: one that loses its power in the middle of a write, and one that fails when told to.
//
// Failure rules: a test that cannot have such a disk fails and says what is missing; it is never skipped. A process must not
// touch by memory map what it serves itself, nor begin a child in such a directory: the runtime would wait for itself, with
// one processor always. Let a child go there.
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kinds of Op.
const (
	Write    = "write"
	Sync     = "sync"
	Truncate = "truncate"
	Create   = "create"
	Rename   = "rename"
	Remove   = "remove"
	SyncDir  = "syncdir"
)

// Op is one change that is asked of a file system.
type Op struct {
	Kind string
	Path string
	To   string // of a Rename
	Off  int64  // of a Write; of a Truncate the new size
	Data []byte // of a Write; only until the call returns
}

// tree is a file system in memory, served by the kernel's FUSE protocol. Requests are answered one at a time.
type tree struct {
	before func(Op) (part int, errno syscall.Errno) // asked before each change; an errno refuses it, but for a Write's first part bytes
	direct bool                                     // files bypass the page cache

	mu    sync.Mutex
	nodes map[uint64]*node
	last  uint64

	fd   int
	dir  string
	done chan struct{}
}

type node struct {
	id    uint64
	name  string
	mode  uint32
	data  []byte
	back  *os.File         // holds the data instead, of a file whose size does not change
	files map[string]*node // of a directory
}

func (n *node) size() int64 {
	if n.back != nil {
		return DiskSize
	}
	return int64(len(n.data))
}

// maxWrite is the most that one request carries.
const maxWrite = 1 << 20

// mountTree mounts t, whose root is to be at dir.
func mountTree(t *tree, dir string) error {
	t.nodes = map[uint64]*node{}
	t.add(nil, "", unix.S_IFDIR|0o755)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w; these tests need FUSE, loop devices and root", err)
	}
	o := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("stepaway-test", dir, "fuse.stepaway-test", unix.MS_NOSUID|unix.MS_NODEV, o); err != nil {
		unix.Close(fd)
		return fmt.Errorf("mount a FUSE file system on %s: %w; these tests need FUSE, loop devices and root", dir, err)
	}
	t.fd, t.dir, t.done = fd, dir, make(chan struct{})
	go t.serve()
	return nil
}

// close unmounts t and ends its goroutine.
func (t *tree) close() error {
	err := unix.Unmount(t.dir, unix.MNT_DETACH)
	<-t.done
	return errors.Join(err, unix.Close(t.fd))
}

// add makes a node; the lock is held, or not needed yet.
func (t *tree) add(parent *node, name string, mode uint32) *node {
	t.last++
	n := &node{id: t.last, name: name, mode: mode}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		n.files = map[string]*node{}
	}
	if parent != nil {
		parent.files[name] = n
		n.name = strings.TrimPrefix(parent.name+"/"+name, "/")
	}
	t.nodes[n.id] = n
	return n
}

func (t *tree) serve() {
	defer close(t.done)
	buf := make([]byte, maxWrite+4096)
	for {
		n, err := unix.Read(t.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAGAIN):
			continue
		case err != nil: // ENODEV: unmounted
			return
		}
		t.answer(buf[:n])
	}
}

// le reads and writes the kernel's structures.
var le = binary.NativeEndian

// inHeader is the size of what each request begins with.
const inHeader = 40

func (t *tree) answer(b []byte) {
	opcode, unique := le.Uint32(b[4:]), le.Uint64(b[8:])
	if silent[opcode] {
		return
	}
	t.mu.Lock()
	out, errno := t.do(opcode, t.nodes[le.Uint64(b[16:])], b[inHeader:])
	t.mu.Unlock()
	if errno != 0 {
		out = nil
	}
	head := le.AppendUint32(nil, uint32(16+len(out)))
	head = le.AppendUint32(head, uint32(-int32(errno)))
	head = le.AppendUint64(head, unique)
	_, _ = unix.Write(t.fd, append(head, out...)) // fails where the asker was killed meanwhile
}

// Requests of the protocol, those that get no answer, and those that need only success.
const (
	opLookup, opGetattr, opSetattr, opMkdir, opUnlink, opRmdir, opRename       = 1, 3, 4, 9, 10, 11, 12
	opOpen, opRead, opWrite, opStatfs, opRelease, opFsync, opFlush, opInit     = 14, 15, 16, 17, 18, 20, 25, 26
	opOpendir, opReaddir, opReleasedir, opFsyncdir, opAccess, opCreate, opRen2 = 27, 28, 29, 30, 34, 35, 45
	opForget, opInterrupt, opDestroy, opBatchForget                            = 2, 36, 38, 42
)

var (
	silent = map[uint32]bool{opForget: true, opInterrupt: true, opBatchForget: true}
	simple = map[uint32]bool{opRelease: true, opFlush: true, opReleasedir: true, opAccess: true, opDestroy: true}
)

// ask asks the test whether a change may be made.
func (t *tree) ask(op Op) (int, syscall.Errno) {
	if t.before == nil {
		return 0, 0
	}
	return t.before(op)
}

func (t *tree) do(opcode uint32, n *node, b []byte) ([]byte, syscall.Errno) {
	switch {
	case opcode == opInit:
		return initAnswer(b), 0
	case simple[opcode]:
		return nil, 0
	case n == nil:
		return nil, unix.ESTALE
	}
	switch opcode {
	case opLookup, opMkdir, opUnlink, opRmdir, opRename, opRen2, opCreate:
		return t.name(opcode, n, b)
	case opGetattr:
		return attrAnswer(n), 0
	case opSetattr:
		return t.setattr(n, b)
	case opOpen, opOpendir:
		return t.opened(), 0
	case opRead:
		return n.read(int64(le.Uint64(b[8:])), int64(le.Uint32(b[16:])))
	case opWrite:
		return t.write(n, int64(le.Uint64(b[8:])), b[40:40+le.Uint32(b[16:])])
	case opFsync:
		_, errno := t.ask(Op{Kind: Sync, Path: n.name})
		return nil, errno
	case opFsyncdir:
		_, errno := t.ask(Op{Kind: SyncDir, Path: n.name})
		return nil, errno
	case opReaddir:
		return n.list(le.Uint64(b[8:]), int(le.Uint32(b[16:]))), 0
	case opStatfs:
		return statfsAnswer(), 0
	}
	return nil, unix.ENOSYS
}

func (n *node) read(off, size int64) ([]byte, syscall.Errno) {
	end := min(off+size, n.size())
	off = min(off, end)
	if n.back == nil {
		return n.data[off:end], 0
	}
	b := make([]byte, end-off)
	if _, err := n.back.ReadAt(b, off); err != nil {
		return nil, unix.EIO
	}
	return b, 0
}

func (t *tree) write(n *node, off int64, data []byte) ([]byte, syscall.Errno) {
	part, errno := t.ask(Op{Kind: Write, Path: n.name, Off: off, Data: data})
	if errno != 0 {
		data = data[:min(part, len(data))]
	}
	if n.back != nil {
		if _, err := n.back.WriteAt(data, off); err != nil {
			errno = unix.EIO
		}
		return le.AppendUint64(nil, uint64(len(data))), errno
	}
	if end := off + int64(len(data)); end > int64(len(n.data)) && len(data) > 0 {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	copy(n.data[min(off, int64(len(n.data))):], data)
	return le.AppendUint64(nil, uint64(len(data))), errno
}

func (t *tree) setattr(n *node, b []byte) ([]byte, syscall.Errno) {
	const mode, size = 1, 8
	valid := le.Uint32(b)
	if valid&size != 0 {
		if _, errno := t.ask(Op{Kind: Truncate, Path: n.name, Off: int64(le.Uint64(b[16:]))}); errno != 0 {
			return nil, errno
		}
		to := le.Uint64(b[16:])
		n.data = append(n.data, make([]byte, max(to, uint64(len(n.data)))-uint64(len(n.data)))...)[:to]
	}
	if valid&mode != 0 {
		n.mode = n.mode&unix.S_IFMT | le.Uint32(b[68:])&0o7777
	}
	return attrAnswer(n), 0
}
