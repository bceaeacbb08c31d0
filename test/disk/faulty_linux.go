package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Faulty is a file system in memory whose changes fail when the test says so. Only children may use it.
type Faulty struct {
	Dir  string // where it is mounted
	tree *tree
}

// NewFaulty makes such a file system, which is gone at the end of the test.
func NewFaulty(t testing.TB) *Faulty {
	t.Helper()
	f := &Faulty{Dir: t.TempDir(), tree: &tree{}}
	if err := mountTree(f.tree, f.Dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.tree.close(); err != nil {
			t.Errorf("end of the file system: %v", err)
		}
	})
	return f
}

// Before has g asked before each change: an errno refuses it, but for the first part bytes of a Write. While g runs nothing
// else happens on the file system.
func (f *Faulty) Before(g func(Op) (part int, errno syscall.Errno)) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	f.tree.before = g
}

// Clear removes every file.
func (f *Faulty) Clear() {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	clear(f.tree.nodes[1].files)
}

// Copy writes every file to the directory to.
func (f *Faulty) Copy(to string) error {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	return f.tree.nodes[1].copy(to)
}

func (n *node) copy(to string) error {
	if n.mode&unix.S_IFMT != unix.S_IFDIR {
		return os.WriteFile(to, bytes.Clone(n.data), os.FileMode(n.mode&0o777))
	}
	if err := os.MkdirAll(to, os.FileMode(n.mode&0o777)); err != nil {
		return err
	}
	for name, child := range n.files {
		if err := child.copy(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
